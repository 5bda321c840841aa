# syntax=docker/dockerfile:1
# The gateway as an image: no compiler, no shell needed at run time, no root, nothing writable but one volume.
#
#   docker build -t gateway .
#   docker run --read-only -v gateway-data:/var/lib/gateway -v ./certs:/certs:ro \
#     -v ./routes.yaml:/etc/gateway/routes.yaml:ro -p 8443:8443 -e GATEWAY_EDGE=0.0.0.0:8443 gateway

ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
# What changes seldom comes first, so that a change of ours does not fetch the world again.
COPY constraints.txt constraints-build.txt ./
RUN python -m venv --without-pip /opt/gateway \
 && pip --python /opt/gateway/bin/python install --require-hashes --only-binary :all: -r constraints.txt \
 && pip install --require-hashes --only-binary :all: -r constraints-build.txt
COPY pyproject.toml README.md routes.yaml ./
COPY gateway ./gateway
RUN pip --python /opt/gateway/bin/python install --no-deps --no-build-isolation .

FROM python:${PYTHON}-slim
RUN install -d -o 10001 -g 10001 /etc/gateway /certs /var/lib/gateway
COPY --from=build /opt/gateway /opt/gateway
COPY routes.yaml /etc/gateway/routes.yaml
ENV PATH=/opt/gateway/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GATEWAY_CERTS=/certs \
    GATEWAY_STATE=/var/lib/gateway/state \
    GATEWAY_AUDIT=/var/lib/gateway/audit \
    GATEWAY_ADMIN=127.0.0.1:9901
WORKDIR /etc/gateway
# Numeric, so that Kubernetes can see that it is not root.
USER 10001:10001
# The audit log and the state: all that is ever written.
VOLUME /var/lib/gateway
EXPOSE 8443 8444
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://' + os.environ['GATEWAY_ADMIN'] + '/readyz', timeout=2)"]
ENTRYPOINT ["gateway"]
CMD ["serve", "--config", "/etc/gateway/routes.yaml"]
