# Belay's image: the compiled bot, its production packages and Node 24; no shell, no package manager, not root.
#
#   docker build -t belay .
#   docker run --read-only --cap-drop=ALL --security-opt=no-new-privileges \
#     --network host -v ./belay-files:/etc/belay:ro -v belay-data:/data --env-file belay.env belay
#
# belay-files holds flags/, schedules/ and runbooks/. Belay listens on loopback only: on the host's network the services there can read
# flags by OFREP, and Prometheus and a proxy can reach it.
#
# Node is process 1. Linux gives process 1 no default action for signals, so SIGTERM and SIGINT do something only because `belay start`
# handles them itself: it stops taking commands, writes what it has, and ends. It starts no other programs here, so there are no orphans
# to collect and no init is needed.
#
# There is no HEALTHCHECK: only the one who runs the image knows the address, and a Belay that cannot reach Slack or Prometheus is not to
# be restarted for it. /healthz answers on the loopback port.

FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN node_modules/.bin/tsc -p tsconfig.build.json
RUN install -d -m 0700 /rootfs/data

# Distroless brings glibc, libstdc++, certificates and the user 65532, and nothing that an intruder could start.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build --chown=65532:65532 /rootfs/ /
COPY --from=packages /app/package.json /app/package.json
COPY --from=packages /app/node_modules /app/node_modules
COPY --from=build /app/dist /app/dist
ENV NODE_ENV=production BELAY_STATE=/data
# Holds the user's flags/, schedules/ and runbooks/, mounted read-only.
WORKDIR /etc/belay
# The only folder that is written.
VOLUME /data
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/node", "/app/dist/cli.js"]
CMD ["start"]
