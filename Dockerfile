FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements.lock requirements.runtime.lock ./
RUN python -m venv /build \
    && /build/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
RUN python -m venv /opt/fhir-server \
    && /opt/fhir-server/bin/pip install --no-cache-dir --require-hashes -r requirements.runtime.lock
COPY pyproject.toml README.md ./
COPY fhir_server fhir_server
COPY mappings mappings
COPY profiles profiles
COPY migrations migrations
COPY orthanc orthanc
RUN /build/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /wheels . \
    && /opt/fhir-server/bin/pip install --no-deps --no-index /wheels/*.whl

FROM python:3.12-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/fhir-server fhir
COPY --from=build /opt/fhir-server /opt/fhir-server
ENV PATH=/opt/fhir-server/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    FHIR_SERVER_HOST=0.0.0.0 \
    FHIR_SERVER_PORT=8080 \
    FHIR_SERVER_DATA_DIR=/var/lib/fhir-server
USER fhir
WORKDIR /var/lib/fhir-server
VOLUME /var/lib/fhir-server
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["fhir-server", "health", "--base-url", "http://localhost:8080/fhir"]
ENTRYPOINT ["fhir-server"]
CMD ["serve"]
