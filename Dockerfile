# syntax=docker/dockerfile:1
#
# docker build -t auth-gateway .                  the gateway
# docker build -t harbour --target demo .         the sample app and its API
#
# Stages build in a virtual environment and copy only that; the path and the Python
# of both images are the same, or the environment would not run.

FROM python:3.12-slim-bookworm AS builder
COPY --from=ghcr.io/astral-sh/uv:0.13.8 /uv /usr/local/bin/uv
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /app
# The dependencies first: this layer is built again only when the lock changes.
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-default-groups --no-install-project
COPY README.md LICENSE ./
COPY gateway gateway
COPY config config
COPY deploy/postgres deploy/postgres
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-default-groups --no-editable

FROM builder AS demo-builder
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-default-groups --no-editable --extra demo

FROM python:3.12-slim-bookworm AS base
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
USER 65532:65532

FROM base AS demo
COPY --from=demo-builder /app/.venv /app/.venv
EXPOSE 3000
CMD ["python", "-m", "gateway.demo", "app", "--host", "0.0.0.0", "--port", "3000"]

FROM base AS gateway
LABEL org.opencontainers.image.title="auth-gateway" \
      org.opencontainers.image.description="A reverse-proxy authentication gateway: sessions checked against Redis on every request" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=builder /app/.venv /app/.venv
# Mounted by whoever runs it; there is no default that would be right.
ENV GATEWAY_CONFIG=/etc/gateway/gateway.yaml
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["gateway", "healthcheck"]
# The gateway takes SIGTERM itself: it stops listening, finishes what runs, leaves.
STOPSIGNAL SIGTERM
CMD ["gateway", "run"]
