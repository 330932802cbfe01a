// The server's routes: requests with the token, errors in one line, uploads with progress, server-sent events.

const KEY = "microfiche-token";
let token = null;
try {
  token = sessionStorage.getItem(KEY);
} catch {
  // A browser that keeps nothing asks for the token again.
}
let asking = null; // the question for a token that is open now
let questioner = async () => null;

/** Names the function that asks a person for the token; it returns null where they give none. */
export function askBy(question) {
  questioner = question;
}

/** An answer that says no, in the server's own words. */
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

const headers = () => (token ? { authorization: "Bearer " + token } : {});

async function newToken(used) {
  if (token !== used) return token; // another request was answered meanwhile
  asking ??= questioner(used !== null).finally(() => (asking = null));
  token = await asking;
  try {
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
  } catch {
    // It holds until the page is left.
  }
  return token;
}

function refusal(status, text, later) {
  let message = "";
  try {
    message = JSON.parse(text).error.message;
  } catch {
    // Something between the page and the server answered.
  }
  if (typeof message !== "string" || !message) {
    message = status === 413 ? "The file is larger than this server takes." : "The server answered with status " + status + ".";
  }
  if (status === 429) message = "The server is busy" + (later ? "; try again in " + later + " s." : "; try again in a minute.");
  return new Refused(message, status);
}

const SILENT = "The server does not answer. Is it still running?";

/** The Response to a request. Raises Refused, with a line that can be shown, for any answer that is not a success. */
export async function ask(path, options = {}) {
  for (;;) {
    const used = token;
    let answer;
    try {
      answer = await fetch(path, { ...options, headers: { ...options.headers, ...headers() } });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused(SILENT, 0);
    }
    if (answer.ok) return answer;
    if (answer.status === 401 && (await newToken(used)) !== null) continue;
    throw refusal(answer.status, await answer.text(), answer.headers.get("retry-after"));
  }
}

export const json = async (path, options) => (await ask(path, options)).json();

export const post = (path, value, signal) =>
  json(path, { method: "POST", body: JSON.stringify(value), headers: { "content-type": "application/json" }, signal });

/** The address of a picture in this page's memory; whoever asked for it revokes it. */
export const picture = async (path, signal) => URL.createObjectURL(await (await ask(path, { signal })).blob());

/** Sends a form; `progress` is called with the share that has gone up. Returns the JSON of the answer. */
export async function upload(path, form, progress, signal) {
  for (;;) {
    const used = token;
    const request = new XMLHttpRequest();
    const answer = new Promise((done, fail) => {
      request.open("POST", path);
      for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
      request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
      request.onload = () => done(request);
      request.onerror = () => fail(new Refused(SILENT, 0));
      request.onabort = () => fail(new DOMException("cancelled", "AbortError"));
      signal?.addEventListener("abort", () => request.abort());
    });
    if (signal?.aborted) throw new DOMException("cancelled", "AbortError");
    request.send(form);
    await answer;
    if (request.status >= 200 && request.status < 300) return JSON.parse(request.responseText);
    if (request.status === 401 && (await newToken(used)) !== null) continue;
    throw refusal(request.status, request.responseText, request.getResponseHeader("retry-after"));
  }
}

/** Server-sent events as [kind, value], value parsed from JSON. fetch reads them, as EventSource sends no token. */
export async function* events(path, signal) {
  const answer = await ask(path, { signal, headers: { accept: "text/event-stream" } });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let kind = "message";
  let data = [];
  for (;;) {
    let piece;
    try {
      piece = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused(SILENT, 0);
    }
    if (piece.done) return;
    const lines = (rest + piece.value).split("\n");
    rest = lines.pop();
    for (const line of lines.map((one) => one.replace(/\r$/, ""))) {
      if (line === "") {
        if (data.length) yield [kind, JSON.parse(data.join("\n"))];
        kind = "message";
        data = [];
      } else if (line.startsWith("event:")) kind = line.slice(6).trim();
      else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
    }
  }
}

const TRIES = 5;

/** Follows a job until it has ended and returns its last state. Where the stream breaks, it is asked for again, and what
 * was already heard of is not told twice. */
export async function follow(id, hear, signal) {
  const path = "v1/jobs/" + encodeURIComponent(id);
  const known = new Set();
  for (let tries = 0; ; tries++) {
    try {
      for await (const [kind, value] of events(path + "/events", signal)) {
        tries = 0;
        if (kind === "end") return value;
        if (kind === "page") {
          if (known.has(value.page)) continue;
          known.add(value.page);
        }
        hear(kind, value);
      }
      const job = await json(path, { signal });
      if (["done", "failed", "cancelled"].includes(job.status)) return job;
    } catch (error) {
      if (error.name === "AbortError" || error.status || tries >= TRIES) throw error;
    }
    await new Promise((done) => setTimeout(done, 300 * 2 ** tries));
    signal?.throwIfAborted();
  }
}

/** Forgets a job and its files on the server; if it is gone already, that is as well. */
export function forget(id) {
  ask("v1/jobs/" + encodeURIComponent(id), { method: "DELETE", keepalive: true }).catch(() => null);
}
