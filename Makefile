# Run `make` alone to see the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help build tools kube deps test-deps lint test demo up bench clean

# Everything is compiled as yourself; only what needs root runs as root, so
# that Go's caches stay yours.
SUDO  := $(shell [ "$$(id -u)" = 0 ] || echo sudo -E)
ROOT   = $(SUDO) env "PATH=$$PATH"
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GOBUILD = CGO_ENABLED=0 go build -trimpath

# GitHub's description of its API, its example payloads and an emulator of it.
PEERS  := handlers/forge/github/githubtest/testdata

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

build: ## the program, in bin/
	$(GOBUILD) -ldflags '-s -w -X github.com/registry-build/registry-build/app.version=$(VERSION)' -o bin/registry-build .

tools: bin/buildkitd bin/buildctl bin/staticcheck ## buildkitd, buildctl and staticcheck, from the versions in go.mod

# BuildKit cannot be `go install`ed (replace directives); as a tool of this
# module it can be built, at exactly the version that the client speaks.
# It is told its version, which is part of every input key.
bin/buildkitd bin/buildctl: go.sum
	$(GOBUILD) -ldflags "-X github.com/moby/buildkit/version.Version=$$(go list -m -f '{{.Version}}' github.com/moby/buildkit)" \
	  -o $@ github.com/moby/buildkit/cmd/$(@F)
	@touch $@

kube: bin/etcd bin/kube-apiserver bin/kube-controller-manager bin/kubectl ## a Kubernetes control plane for the tests (8 minutes, once)

# Tools of a module of their own: Kubernetes pins all that it is made from.
# Without a version of its own an API server takes itself for 0.0.
KUBE := builder/trigger/kubernetes/testdata
bin/kube-apiserver bin/kube-controller-manager bin/kubectl: $(KUBE)/go.sum
	v=$$(go list -C $(KUBE) -m -f '{{.Version}}' k8s.io/kubernetes); IFS=.; set -- $${v#v}; \
	p=k8s.io/component-base/version; \
	$(subst go build,go build -C $(KUBE),$(GOBUILD)) -o $(CURDIR)/$@ \
	  -ldflags "-s -w -X $$p.gitVersion=$$v -X $$p.gitMajor=$$1 -X $$p.gitMinor=$$2" k8s.io/kubernetes/cmd/$(@F)
	@touch $@

bin/etcd: $(KUBE)/go.sum
	$(subst go build,go build -C $(KUBE),$(GOBUILD)) -ldflags '-s -w' -o $(CURDIR)/$@ go.etcd.io/etcd/server/v3
	@touch $@

bin/staticcheck: go.sum
	$(GOBUILD) -o $@ honnef.co/go/tools/cmd/staticcheck
	@touch $@

deps: ## what `up` needs from Debian: redis-server, runc, git, busybox-static
	@$(SUDO) manifests/debian/install.sh run

test-deps: ## and what the tests need beside
	@$(SUDO) manifests/debian/install.sh test
	@[ $(PEERS)/node_modules/.package-lock.json -nt $(PEERS)/package-lock.json ] || npm ci --no-progress --prefix $(PEERS)

lint: bin/staticcheck ## gofmt, go vet, staticcheck
	@bad=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$bad" ] || { echo "gofmt would change: $$bad"; exit 1; }
	go vet ./...
	bin/staticcheck ./...

test: test-deps tools kube lint ## every check, with real servers
	CGO_ENABLED=1 go test -race -timeout 20m $(if $(SUDO),-exec '$(SUDO) env "PATH='"$$PATH"'"') ./...

demo: deps tools build ## a push becomes an image, for real, on this machine
	$(GOBUILD) -o bin/demo ./app/demo
	$(ROOT) bin/demo

up: deps tools build ## the same, and it stays up
	$(GOBUILD) -o bin/demo ./app/demo
	$(ROOT) bin/demo -keep

bench: deps tools kube build ## ours against the others, measured here and now
	$(GOBUILD) -o bin/bench ./app/bench
	$(ROOT) bin/bench

clean: ## remove what was built
	rm -rf bin
