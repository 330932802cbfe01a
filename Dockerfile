# The server for documents, on a CPU and without rights of its own: docker build -t microfiche . ; compose.yaml starts it.
FROM debian:bookworm-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3=3.11.* python3-venv=3.11.* \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN python3 -m venv /opt/microfiche \
 && /opt/microfiche/bin/pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
    -c constraints.txt '.[serve,mcp]'

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3=3.11.* \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home microfiche
COPY --from=build /opt/microfiche /opt/microfiche
ENV PATH=/opt/microfiche/bin:$PATH
USER 10001
WORKDIR /home/microfiche
EXPOSE 8767
HEALTHCHECK --start-period=60s CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8767/health')"]
ENTRYPOINT ["microfiche"]
CMD ["serve", "--host", "0.0.0.0"]
