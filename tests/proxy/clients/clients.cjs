// The two vendors' own clients for JavaScript: an answer, a stream, a tool, an error, a client that leaves.
"use strict";
const assert = require("node:assert");
const { Anthropic } = require("@anthropic-ai/sdk");
const { OpenAI } = require("openai");

const url = process.argv[2];
const schema = { type: "object", properties: { city: { type: "string" } } };
const hi = [{ role: "user", content: "hi" }];

async function claude() {
  const client = new Anthropic({ baseURL: url, apiKey: "k", maxRetries: 0 });
  const ask = { model: "claude-opus-5", max_tokens: 9, messages: hi };
  assert.equal((await client.messages.create(ask)).stop_reason, "end_turn");
  const streamed = await client.messages.stream(ask).finalMessage();
  assert.equal(streamed.content[0].text, "It is sunny in Oslo.");
  const tools = [{ name: "weather", input_schema: schema }];
  const asked = await client.messages.create({ ...ask, tools });
  assert.equal(asked.stop_reason, "tool_use");
  const result = { type: "tool_result", tool_use_id: asked.content.at(-1).id, content: "sunny" };
  const messages = [...hi, { role: "assistant", content: asked.content }, { role: "user", content: [result] }];
  assert.equal((await client.messages.create({ ...ask, tools, messages })).stop_reason, "end_turn");
  const bad = { ...ask, messages: [{ role: "assistant", content: [{ type: "tool_use", id: "x", name: "n", input: {} }] }] };
  await assert.rejects(client.messages.create(bad), (error) => error.status === 400 && /tool_use/.test(error.message));
}

async function gpt() {
  const client = new OpenAI({ baseURL: url + "/v1", apiKey: "k", maxRetries: 0 });
  const chat = { model: "gpt-6-sol", messages: hi };
  assert.equal((await client.chat.completions.create(chat)).choices[0].finish_reason, "stop");
  let said = "";
  for await (const chunk of await client.chat.completions.create({ ...chat, stream: true })) {
    said += chunk.choices[0]?.delta?.content ?? "";
  }
  assert.equal(said, "It is sunny in Oslo.");
  const ask = { model: "gpt-6-sol", input: "hi" };
  assert.equal((await client.responses.create(ask)).output_text, "It is sunny in Oslo.");
  const kinds = [];
  for await (const event of await client.responses.create({ ...ask, stream: true })) kinds.push(event.type);
  assert.equal(kinds.at(-1), "response.completed");
  const tools = [{ type: "function", name: "weather", parameters: schema, strict: false }];
  const call = (await client.responses.create({ ...ask, tools })).output.at(-1);
  assert.equal(call.type, "function_call");
  const stream = await client.responses.create({ ...ask, stream: true });
  for await (const event of stream) {
    assert.ok(event.type);
    break; // which closes the connection
  }
}

claude().then(gpt).then(() => console.log("all well"));
