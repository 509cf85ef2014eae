# fleet alone: build on top of it, or mount the app at /app. For instance:
#   docker run --rm -v "$PWD:/app:ro" IMAGE start --queue jobs --workers 8 app:job
FROM python:3.13-slim

COPY pyproject.toml requirements.lock README.md LICENSE /src/
COPY fleet /src/fleet
RUN pip install --no-cache-dir -c /src/requirements.lock /src \
    && rm -r /src \
    && useradd --create-home fleet

USER fleet
# The current directory is where fleet looks for the app.
WORKDIR /app

# Exec form, and the signal that drains: give `docker stop --time` longer than --drain-timeout.
STOPSIGNAL SIGTERM
ENTRYPOINT ["fleet"]
