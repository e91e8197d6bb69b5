FROM python:3.13-slim AS packages
WORKDIR /build
# The certificates of a database whose authority no system knows. For RDS:
# https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
ARG DATABASE_CA_URL=
RUN mkdir certificates && \
    if [ -n "$DATABASE_CA_URL" ]; then \
    python -c "import sys, urllib.request; urllib.request.urlretrieve(*sys.argv[1:])" \
    "$DATABASE_CA_URL" certificates/database-ca.pem; fi
RUN python -m venv --without-pip /venv
COPY requirements.txt .
RUN pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check --require-hashes \
    -r requirements.txt
# For example limits[redis], which RATELIMIT_STORAGE_URL needs. Versions may be named here: limits[redis]==5.8.0
ARG EXTRA_PACKAGES=
# hadolint ignore=DL3013
RUN if [ -n "$EXTRA_PACKAGES" ]; then \
    pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check $EXTRA_PACKAGES; fi

FROM python:3.13-slim AS app
WORKDIR /app
COPY wsgi.py gunicorn.conf.py infra/image/healthcheck.py ./
COPY examples examples
COPY templates templates
COPY orderconfirm orderconfirm
RUN python -m compileall -q .

FROM python:3.13-slim
# Python's image comes without compiled modules, and each start would compile them again.
RUN python -m compileall -q -x "/(ensurepip|idlelib|site-packages|tkinter|turtledemo)/" /usr/local/lib/python3.13 && \
    mkdir /data && chown 10001:10001 /data
# TMPDIR: gunicorn's heartbeat needs a file, and with --read-only only /data and /dev/shm are writable.
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TMPDIR=/dev/shm \
    APP_ENV=production \
    HOST=0.0.0.0 \
    DATABASE_URL=sqlite:////data/outbox.db
COPY --from=packages /build/certificates /etc/ssl/orderconfirm
COPY --from=packages /venv /venv
WORKDIR /app
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-IS", "/app/healthcheck.py"]
CMD ["gunicorn"]
COPY --from=app /app /app
ARG VERSION=0.1.0
ARG BUILD_REVISION=
ARG SOURCE=
ENV BUILD_REVISION=$BUILD_REVISION
LABEL org.opencontainers.image.title="orderconfirm" \
    org.opencontainers.image.description="Accepts orders over HTTP and mails personal order confirmations" \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$BUILD_REVISION" \
    org.opencontainers.image.source="$SOURCE" \
    org.opencontainers.image.licenses="MIT"
