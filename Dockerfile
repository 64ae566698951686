# One image, two commands: `python -m service` and `python -m workers`. Neither needs root, a compiler or Node.

FROM node:22-slim AS pages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-fund --no-audit --ignore-scripts

FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /venv
COPY requirements/app.lock requirements/app.lock
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/app.lock
COPY pyproject.toml README.md LICENSE ./
COPY coverslip coverslip
RUN /venv/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /venv/bin/pip install --no-cache-dir --no-deps /wheel/coverslip-*.whl

FROM python:3.12-slim
# libseccomp: one of the walls around the process that parses slides
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libseccomp2 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin coverslip \
    && install --directory --owner=coverslip --group=coverslip --mode=0700 /data
COPY --from=build /venv /venv
WORKDIR /app
COPY service service
COPY workers workers
COPY --from=pages /app/node_modules node_modules
RUN /venv/bin/python -m service.vendor && rm -rf node_modules && /venv/bin/python -m compileall -q service workers
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    COVERSLIP_DATA_DIR=/data
USER coverslip
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
CMD ["python", "-m", "service"]
