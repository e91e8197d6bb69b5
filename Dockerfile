FROM python:3.13-slim AS python
# Python's image comes without compiled modules, and each start would compile them again.
# Left out is what the service does not import.
RUN python -m compileall -q /usr/local/lib/python3.13 \
    -x "/(_py|doctest|ensurepip|idlelib|pydoc|site-packages|tkinter|turtle|unittest|venv|wsgiref|xml)"

FROM python AS packages
WORKDIR /build
# hadolint ignore=DL3008
RUN apt-get update -q && apt-get install -qy --no-install-recommends binutils
# The certificates of a database whose authority no system knows. For RDS:
# https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
ARG DATABASE_CA_URL=
RUN mkdir certificates && \
    if [ -n "$DATABASE_CA_URL" ]; then \
    python -c "import sys, urllib.request; urllib.request.urlretrieve(*sys.argv[1:])" \
    "$DATABASE_CA_URL" certificates/database-ca.pem; fi
RUN python -m venv --without-pip /venv
COPY requirements.txt .
RUN pip --python /venv/bin/python install --no-cache-dir --no-compile --disable-pip-version-check \
    --require-hashes --only-binary :all: -r requirements.txt
COPY infra/image/prune.py .
# Some libraries come with debug information, SQLAlchemy's with 9 MB.
RUN cd /venv/lib/python3.13/site-packages && python /build/prune.py . && \
    find sqlalchemy wcwidth wrapt -name "*.so" -exec strip --strip-unneeded {} + && \
    python -m compileall -q -x "gunicorn/(asgi|dirty)|sqlalchemy/(ext/[^_c]|orm)" .
# For example limits[redis], which RATELIMIT_STORAGE_URL needs. Versions may be named here: limits[redis]==5.8.0
ARG EXTRA_PACKAGES=
# hadolint ignore=DL3013
RUN if [ -n "$EXTRA_PACKAGES" ]; then \
    pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check $EXTRA_PACKAGES; fi

FROM python AS app
COPY --from=packages /venv /venv
WORKDIR /app
COPY wsgi.py gunicorn.conf.py infra/image/healthcheck.py ./
COPY examples examples
COPY templates templates
COPY orderconfirm orderconfirm
COPY infra/image/self_test.py /build/
RUN python -m compileall -q . && \
    PYTHONPATH=. PYTHONDONTWRITEBYTECODE=1 /venv/bin/python /build/self_test.py

FROM python
RUN mkdir /data && chown 10001:10001 /data
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
