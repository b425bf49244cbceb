package buildkit

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	policy "github.com/moby/buildkit/sourcepolicy/pb"
	"github.com/tonistiigi/fsutil"

	"github.com/registry-build/registry-build/builder"
)

// epoch is the time of everything in an image: 2000-01-01, the whole seconds
// that the source's files have too. A constant, because with the commit's
// time an unchanged, cached layer gets a new digest at every commit.
const epoch = "946684800"

// frontend is the daemon's built-in Dockerfile frontend.
const frontend = "dockerfile.v0"

// dockerfileName is the Dockerfile's path as people know it: relative to the
// repository, with slashes.
func dockerfileName(s builder.Spec) string {
	if s.Inline != "" || s.Dockerfile == "" {
		return "Dockerfile"
	}
	return strings.TrimPrefix(path.Clean("/"+filepath.ToSlash(s.Dockerfile)), "/")
}

// solveOpt translates a request. The error is a *builder.Failure.
func (s *Solver) solveOpt(r builder.SolveRequest) (client.SolveOpt, error) {
	attrs, err := frontendAttrs(r)
	if err != nil {
		return client.SolveOpt{}, err
	}
	exports, err := s.exports(r.Destination)
	if err != nil {
		return client.SolveOpt{}, err
	}
	attached, err := attachables(r)
	if err != nil {
		return client.SolveOpt{}, err
	}
	var files fsutil.FS = memoryOf(nil)
	if r.Files != nil {
		files = r.Files
	}
	opt := client.SolveOpt{
		Frontend:      frontend,
		FrontendAttrs: attrs,
		LocalMounts: map[string]fsutil.FS{
			"context":    files,
			"dockerfile": dockerfileFS(dockerfileName(r.Spec), r.Dockerfile),
		},
		SharedKey:    r.SharedKey,
		Session:      attached,
		SourcePolicy: sourcePolicy(r.Pins),
		Exports:      exports,
		// Keeps the build out of the daemon's own history, which holds logs
		// that nobody redacts and takes as long as a small build.
		Internal: true,
	}
	if r.Lane == builder.ForkLane {
		s.confine(&opt)
	}
	return opt, nil
}

// attachables are what the daemon may ask this process for during the solve.
func attachables(r builder.SolveRequest) ([]session.Attachable, error) {
	attached := []session.Attachable{newAuth(r.Destination, r.Login, r.BaseLogins)}
	for id, value := range r.Secrets {
		if len(value) > secretsprovider.MaxSecretSize {
			return nil, &builder.Failure{Stage: builder.StageConfig,
				Message: fmt.Sprintf("the value of secret %q is too long: a step can mount at most %d KiB", id, secretsprovider.MaxSecretSize>>10)}
		}
	}
	if len(r.Secrets) > 0 {
		attached = append(attached, secretsprovider.FromMap(r.Secrets))
	}
	if len(r.SSH) > 0 {
		a, err := newAgents(r.SSH)
		if err != nil {
			return nil, err
		}
		attached = append(attached, a)
	}
	return attached, nil
}

func frontendAttrs(r builder.SolveRequest) (map[string]string, error) {
	attrs := map[string]string{
		"filename": dockerfileName(r.Spec),
		// What a chosen frontend is told about the choice. With it the daemon's
		// own frontend leaves a "# syntax=" line alone, which would make it
		// fetch a frontend image. (BUILDKIT_SYNTAX=dockerfile.v0 asks the
		// internet for an image of that name.)
		"cmdline":                     frontend,
		"build-arg:SOURCE_DATE_EPOCH": epoch,
	}
	if r.Domain != "" {
		// RUN --mount=type=cache,id=X of one owner must not be another's to
		// read or to poison.
		attrs["build-arg:BUILDKIT_CACHE_MOUNT_NS"] = r.Domain
	}
	for name, value := range r.Spec.Args {
		if reserved(name) {
			return nil, &builder.Failure{
				Stage:   builder.StageBuild,
				Message: fmt.Sprintf("the build argument %s is reserved: names that begin with BUILDKIT_ steer the builder itself; choose another name", name),
			}
		}
		attrs["build-arg:"+name] = value
	}
	if r.Spec.Target != "" {
		attrs["target"] = r.Spec.Target
	}
	switch len(r.Spec.Platforms) {
	case 0:
	case 1:
		attrs["platform"] = r.Spec.Platforms[0]
	default:
		return nil, &builder.Failure{
			Stage:   builder.StageBuild,
			Message: fmt.Sprintf("platforms %s: one solve builds one platform", strings.Join(r.Spec.Platforms, ", ")),
		}
	}
	if r.Spec.NoCache {
		attrs["no-cache"] = "" // empty: every stage
	}
	return attrs, nil
}

// reserved reports whether BuildKit would take the argument as a switch of
// its own, such as one that pulls a scanner image or makes the result an
// index.
func reserved(arg string) bool { return strings.HasPrefix(arg, "BUILDKIT_") }

// exports asks for one manifest in the registry that no tag names yet.
func (s *Solver) exports(destination string) ([]client.ExportEntry, error) {
	if destination == "" {
		return nil, nil
	}
	name, err := reference.ParseNormalizedNamed(destination)
	if err != nil || !reference.IsNameOnly(name) {
		return nil, &builder.Failure{
			Stage:   builder.StagePush,
			Message: fmt.Sprintf("%q is not an image repository: write host/path in lower case, without a tag", destination),
			Err:     err,
		}
	}
	attrs := s.output()
	attrs[string(exptypes.OptKeyName)] = name.Name()
	attrs[string(exptypes.OptKeyPush)] = "true"
	attrs[string(exptypes.OptKeyPushByDigest)] = "true"
	attrs[string(exptypes.OptKeyStore)] = "false" // the registry has it
	if s.insecure[reference.Domain(name)] {
		attrs[string(exptypes.OptKeyInsecure)] = "true"
	}
	return []client.ExportEntry{{Type: client.ExporterImage, Attrs: attrs}}, nil
}

// output is what decides how the same files become bytes in the registry.
func (s *Solver) output() map[string]string {
	return map[string]string{
		string(exptypes.OptKeyOCITypes):         "true",
		string(exptypes.OptKeyRewriteTimestamp): strconv.FormatBool(s.rewrite),
	}
}

// sourcePolicy makes the daemon read each base by the digest that was resolved
// before, whatever its tag names by now.
func sourcePolicy(pins map[string]string) *policy.Policy {
	if len(pins) == 0 {
		return nil
	}
	p := &policy.Policy{Version: 1}
	for base, digest := range maps.All(pins) {
		if strings.Contains(base, "@") || digest == "" {
			continue // pinned by its author, or not at all
		}
		p.Rules = append(p.Rules, &policy.Rule{
			Action:   policy.PolicyAction_CONVERT,
			Selector: &policy.Selector{Identifier: imageScheme + base, MatchType: policy.MatchType_EXACT},
			Updates:  &policy.Update{Identifier: imageScheme + base + "@" + digest},
		})
	}
	return p
}

// dockerfileFS holds the Dockerfile under its own path, so that the daemon
// names it as people do. Beside it stands an ignore file of its own that
// ignores nothing: the source has applied the right one already, which may lie
// where the daemon does not look, and the daemon would apply another on top.
func dockerfileFS(name string, dockerfile []byte) fsutil.FS {
	return memoryOf(map[string][]byte{
		name:                   dockerfile,
		name + ".dockerignore": []byte("# the context is complete\n"), // an empty file does not count
	})
}
