FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv --without-pip /venv
COPY requirements.txt .
# For example limits[redis], which RATELIMIT_STORAGE_URL needs.
ARG EXTRA_PACKAGES=
RUN pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check -r requirements.txt $EXTRA_PACKAGES

FROM python:3.13-slim
# TMPDIR: gunicorn's heartbeat needs a file, and with --read-only only /data and /dev/shm are writable.
ARG BUILD_REVISION=
ENV PATH=/venv/bin:$PATH \
    BUILD_REVISION=$BUILD_REVISION \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TMPDIR=/dev/shm \
    APP_ENV=production \
    HOST=0.0.0.0 \
    DATABASE_URL=sqlite:////data/outbox.db
RUN mkdir /data && chown 10001:10001 /data
COPY --from=build /venv /venv
WORKDIR /app
COPY wsgi.py gunicorn.conf.py ./
COPY examples examples
COPY templates templates
COPY orderconfirm orderconfirm
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT') or 8000}/livez\", timeout=2)"]
CMD ["gunicorn"]
