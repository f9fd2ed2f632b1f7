# chatwright serve in a container:
#   docker build -t chatwright .
#   docker run -p 8000:8000 -v "$PWD:/app" chatwright my_app:agent --api-keys keys.json
# Keys are needed: chatwright serve keys add NAME --api-keys keys.json
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt vendored.cdx.json ./
COPY src src
RUN pip install --constraint constraints.txt ".[gguf,serve]" \
    && rm -rf /src/* \
    && useradd --create-home --uid 10001 chatwright

USER 10001
WORKDIR /app
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:8000/healthz', timeout=2)"]

ENTRYPOINT ["chatwright", "serve", "--host", "0.0.0.0", "--port", "8000"]
CMD ["--help"]
