package buildkit

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
)

func TestInspect(t *testing.T) {
	const digest = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for _, c := range []struct {
		name       string
		dockerfile string
		spec       builder.Spec
		want       builder.Inspection
	}{
		{"scratch", "FROM scratch\nCOPY a /\n", builder.Spec{}, builder.Inspection{}},
		{"normalised", "FROM debian\nRUN a\n", builder.Spec{}, builder.Inspection{Bases: []string{"docker.io/library/debian:latest"}}},
		{"nothing but a base", "FROM ghcr.io/acme/base:1", builder.Spec{}, builder.Inspection{Bases: []string{"ghcr.io/acme/base:1"}}},
		{"digest", "FROM debian:12" + digest, builder.Spec{}, builder.Inspection{Bases: []string{"docker.io/library/debian:12" + digest}}},
		{
			"in order, once each", "FROM golang:1.26 AS a\nRUN a\nFROM debian:12 AS b\nRUN b\nFROM alpine\nCOPY --from=a /a /\nCOPY --from=b /b /\nCOPY --from=golang:1.26 /c /\n",
			builder.Spec{}, builder.Inspection{Bases: []string{"docker.io/library/golang:1.26", "docker.io/library/debian:12", "docker.io/library/alpine:latest"}},
		},
		{
			"stages that the target needs", "FROM golang AS a\nRUN a\nFROM debian AS b\nRUN b\nFROM alpine AS c\nCOPY --from=a /a /\n",
			builder.Spec{Target: "b"}, builder.Inspection{Bases: []string{"docker.io/library/debian:latest"}},
		},
		{
			"from other images", "FROM scratch\nCOPY --from=acme/files:2 /x /\nRUN --mount=type=bind,from=acme/tools,target=/t /t/x\n",
			builder.Spec{}, builder.Inspection{Bases: []string{"docker.io/acme/files:2", "docker.io/acme/tools:latest"}},
		},
		{
			"arguments", "ARG NAME=debian\nARG TAG\nFROM ${NAME}:${TAG:-12}\nRUN a\n",
			builder.Spec{}, builder.Inspection{Bases: []string{"docker.io/library/debian:12"}},
		},
		{
			"arguments of the build", "ARG NAME=debian\nARG TAG\nFROM ${NAME}:${TAG:-12}\nRUN a\n",
			builder.Spec{Args: map[string]string{"NAME": "acme/debian", "TAG": "13"}}, builder.Inspection{Bases: []string{"docker.io/acme/debian:13"}},
		},
		{
			"platform arguments", "FROM acme/base:$TARGETARCH\nRUN a\n",
			builder.Spec{Platforms: []string{"linux/arm64"}}, builder.Inspection{Bases: []string{"docker.io/acme/base:arm64"}},
		},
		{
			"a syntax line is no base", "# syntax=docker/dockerfile:1\nFROM scratch\nCOPY a /\n",
			builder.Spec{}, builder.Inspection{},
		},
		{
			"ADD over http", "FROM scratch\nADD https://example.com/a.tar /\n",
			builder.Spec{}, builder.Inspection{Remote: "Dockerfile:2: ADD of https://example.com/a.tar without a checksum"},
		},
		{
			"ADD of a repository", "FROM scratch\nADD https://example.com/a.git#main /\n",
			builder.Spec{Dockerfile: "b/D"}, builder.Inspection{
				Remote:  "b/D:2: ADD of git://example.com/a.git#main without a checksum",
				Secrets: []string{"GIT_AUTH_TOKEN", "GIT_AUTH_HEADER"}, // used where they are given
			},
		},
		{
			"ADD with a checksum",
			"FROM scratch\nADD --checksum=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 https://example.com/a.tar /\n",
			builder.Spec{}, builder.Inspection{},
		},
		{
			"ADD in a stage that is not needed", "FROM scratch AS a\nADD https://example.com/a.tar /\nFROM scratch\nCOPY x /\n",
			builder.Spec{}, builder.Inspection{},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s Solver
			got, err := s.Inspect(t.Context(), []byte(c.dockerfile), c.spec)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("inspection (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInspectFailures(t *testing.T) {
	for _, c := range []struct {
		name       string
		dockerfile string
		spec       builder.Spec
		message    string
		line       int
	}{
		{"unknown instruction", "FROM scratch\nCOPPY a b\n", builder.Spec{}, "Dockerfile:2: unknown instruction: COPPY (did you mean COPY?)", 2},
		{"unknown target", "FROM scratch AS a\nCOPY a /\n", builder.Spec{Target: "b"}, `Dockerfile: there is no stage "b" to build: its stages are a`, 0},
		{"base without a name", "ARG X\nFROM $X\n", builder.Spec{}, "Dockerfile:2: base name ($X) should not be blank", 2},
		{"empty", "", builder.Spec{Dockerfile: "x/Dockerfile"}, "x/Dockerfile: the Dockerfile cannot be empty", 0},
		{"platform", "FROM scratch\n", builder.Spec{Platforms: []string{"!"}}, `"!" is not a platform; one is linux/amd64 or linux/arm64`, 0},
		{"platforms", "FROM scratch\n", builder.Spec{Platforms: []string{"linux/amd64", "linux/arm64"}}, `platforms linux/amd64, linux/arm64: one solve builds one platform`, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s Solver
			_, err := s.Inspect(t.Context(), []byte(c.dockerfile), c.spec)
			var f *builder.Failure
			if !errors.As(err, &f) || f.Stage != builder.StageBuild || f.Message != c.message || f.Line != c.line {
				t.Errorf("failure %+v", err)
			}
		})
	}
}
