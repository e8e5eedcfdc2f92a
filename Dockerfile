# One image for every service, the migrations and the operator's command line: `python -m services.<name>` is the only
# difference. Build it with what it is made of written down beside it:
#   docker buildx build --sbom=true --provenance=mode=max --push -t registry.example/astronote:VERSION .
# The bases are pinned by digest where they are built from (`--build-arg PYTHON=python:3.12.12-slim-bookworm@sha256:…`).
ARG PYTHON=python:3.12-slim-bookworm

FROM ${PYTHON} AS build
WORKDIR /build
COPY requirements-image.lock .
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --no-compile --require-hashes --only-binary :all: -r requirements-image.lock \
    && /venv/bin/pip uninstall --yes pip
# Its root is read only, so nothing can be compiled later.
COPY gen /app/gen
COPY kit /app/kit
COPY migrations /app/migrations
COPY ops /app/ops
COPY services /app/services
COPY alembic.ini /app/
RUN python -m compileall -q -j 0 /venv/lib /app

FROM ${PYTHON}
LABEL org.opencontainers.image.title="astronote-retail" \
      org.opencontainers.image.description="Text-message marketing for shops, as a mesh of gRPC services"
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
# Without the last two glibc keeps ever larger blocks, once one was freed, and an import of a million stays 20 MB larger.
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app:/app/gen PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    MALLOC_MMAP_THRESHOLD_=262144 MALLOC_TRIM_THRESHOLD_=262144
USER 10001:10001
