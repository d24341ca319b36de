# syntax=docker/dockerfile:1
#
# docker build -t auth-gateway .                  the gateway
# docker build -t harbour --target demo .         the sample app and its API
#
# Stages build in a virtual environment and copy only that; the path and the Python
# of both images are the same, or the environment would not run.

# Python 3.12.15 on Debian 12, for all platforms of the tag (docs/dependencies.md).
FROM python:3.12-slim-bookworm@sha256:34386ef0cb081344d7ec1c103ba398e6e9f64e9ab3a1509accc92a4e24a07258 AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_RETRIES=10 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /app
# The dependencies first: these layers are built again only when a lock changes.
# The environment itself is without pip; the one of this stage fills it.
COPY requirements requirements
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip .venv \
    && pip --python .venv/bin/python install --require-hashes \
       -r requirements/gateway.lock \
    && pip install --require-hashes -r requirements/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
COPY config config
COPY deploy/postgres deploy/postgres
RUN pip wheel --no-deps --no-index --no-build-isolation --wheel-dir dist . \
    && pip --python .venv/bin/python install --no-cache-dir --no-deps --no-index dist/*.whl

FROM builder AS demo-builder
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python .venv/bin/python install --require-hashes \
       -r requirements/gateway.lock -r requirements/demo.lock

FROM python:3.12-slim-bookworm@sha256:34386ef0cb081344d7ec1c103ba398e6e9f64e9ab3a1509accc92a4e24a07258 AS base
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
# Mount a configuration here; there is no default.
ENV GATEWAY_CONFIG=/etc/gateway/gateway.yaml
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["gateway", "healthcheck"]
# The gateway takes SIGTERM itself: it stops listening, finishes what runs, leaves.
STOPSIGNAL SIGTERM
CMD ["gateway", "run"]
