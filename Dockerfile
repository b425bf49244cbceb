# The image for `registry-build serve`. Redis, BuildKit and the registry are
# outside; manifests/ has examples. Both bases can be replaced, for machines
# that reach only their own registry:
#   docker build --build-arg GO_IMAGE=… --build-arg BASE_IMAGE=… .
ARG GO_IMAGE=golang:1.26-bookworm
ARG BASE_IMAGE=alpine:3.22

FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -o /out/registry-build \
      -ldflags "-s -w -X github.com/registry-build/registry-build/app.version=${VERSION}" .

# git reads and mirrors repositories; the CA bundle is for forges and registries.
FROM ${BASE_IMAGE}
RUN command -v git >/dev/null || apk add --no-cache git ca-certificates
COPY --from=build /out/registry-build /usr/local/bin/registry-build
RUN mkdir -p /var/lib/registry-build && chown 65532:65532 /var/lib/registry-build
USER 65532:65532
VOLUME /var/lib/registry-build
EXPOSE 8080
ENTRYPOINT ["registry-build"]
CMD ["serve", "--config", "/etc/registry-build/server.yml"]
