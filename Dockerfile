# One image for every service: `python -m services.<name>` is the only difference.
FROM python:3.12-slim AS build
COPY requirements.lock .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock

FROM python:3.12-slim
COPY --from=build /venv /venv
WORKDIR /app
COPY alembic.ini ./
COPY gen gen
COPY kit kit
COPY migrations migrations
COPY services services
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app:/app/gen PYTHONDONTWRITEBYTECODE=1
USER 10001
