# Two stages: the first installs and compiles the kernels, the second holds only what runs.
FROM python:3.11-slim AS build
WORKDIR /src
# The locked versions, checked by hash and never built from source; then the project itself, with the locked setuptools.
COPY requirements.lock ./
RUN python -m venv /opt/tapewatch \
    && /opt/tapewatch/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY streamer streamer
COPY detectors detectors
COPY alerts alerts
RUN /opt/tapewatch/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/tapewatch/bin/pip check
# Kernels are compiled here, once, so that a container starts in seconds; two captures reach all of them
# but those that read Kafka's batches, which the check of every start reaches.
ENV NUMBA_CACHE_DIR=/opt/kernels NUMBA_CPU_NAME=generic
COPY examples examples
COPY tests/data tests/data
RUN mkdir /opt/kernels \
    && /opt/tapewatch/bin/tapewatch replay -q -c examples/binance.yaml tests/data/spot_btcusdt.gz \
    && /opt/tapewatch/bin/tapewatch replay -q -c examples/sensitive.yaml tests/data/usdm_btcusdt.gz \
    && /opt/tapewatch/bin/python -m streamer.sources.kafka.fast.parser_check

FROM python:3.11-slim
COPY --from=build /opt/tapewatch /opt/tapewatch
COPY --from=build /opt/kernels /opt/kernels
COPY deploy/entrypoint.sh /usr/local/bin/tapewatch
COPY examples /etc/tapewatch/examples
RUN useradd --system --uid 10001 --home-dir /var/lib/tapewatch --create-home tapewatch
USER tapewatch
WORKDIR /var/lib/tapewatch
# The store goes to the working directory; /tmp may be a tmpfs, and the rest of the root read-only.
VOLUME /var/lib/tapewatch
ENV PYTHONUNBUFFERED=1 NUMBA_CACHE_DIR=/tmp/tapewatch-kernels NUMBA_CPU_NAME=generic TAPEWATCH_CONFIG=/etc/tapewatch/tapewatch.yaml
# Metrics and health, without authentication. A container's other side can reach them only if the configuration has
#   serve: {address: "0.0.0.0:9464"}
EXPOSE 9464
# Asks the daemon in this container, at the serve.address of its configuration, whether all is well.
HEALTHCHECK --interval=30s --timeout=10s --start-period=3m --retries=3 CMD ["tapewatch", "health"]
ENTRYPOINT ["tapewatch"]
CMD ["run"]
