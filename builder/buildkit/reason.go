package buildkit

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	gateway "github.com/moby/buildkit/frontend/gateway/pb"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

var notStarted = regexp.MustCompile(`runc run failed: unable to start container process: (?:error during container init: )?exec: ("[^"]*"): (?:stat \S+: )?(.*)`)

// exitSentence says how a command ended. output is the step's last.
func exitSentence(cmd string, exit *gateway.ExitError, output string) string {
	if m := notStarted.FindStringSubmatch(output); m != nil {
		return fmt.Sprintf("%q could not be started: %s: %s", cmd, m[1], m[2])
	}
	switch {
	case exit.Err != nil && strings.Contains(exit.Err.Error(), "cannot allocate memory"):
		return fmt.Sprintf("%q was killed: it ran out of memory", cmd)
	case exit.ExitCode == 128+9:
		return fmt.Sprintf("%q was killed (exit code 137), most often for want of memory", cmd)
	}
	return fmt.Sprintf("%q exited with %d", cmd, exit.ExitCode)
}

var (
	missingPath   = regexp.MustCompile(`failed to (?:calculate checksum of ref|compute cache key)[^"]*"([^"]*)": not found`)
	missingSecret = regexp.MustCompile(`secret (\S+): not found`)
	missingAgent  = regexp.MustCompile(`no SSH key "([^"]*)" forwarded from the client`)
	missingStage  = regexp.MustCompile(`target stage "([^"]*)" could not be found`)
	entitlement   = regexp.MustCompile(`failed to load LLB: (\S+) is not allowed`)
	badName       = regexp.MustCompile(`failed to parse stage name ("[^"]*"): (?:invalid reference format: )?`)
	baseRef       = regexp.MustCompile(`failed to resolve source metadata for ([^\s]+): `)
	fromFlag      = regexp.MustCompile(`(?i)(?:--from=|[,=]from=|^FROM (?:--\S+ )*)([^\s,]+)`)
)

// reason says why an instruction could not be carried out.
func reason(err error, cmd string, r builder.SolveRequest) string {
	text := err.Error()
	if m := denied.FindStringSubmatch(text); m != nil {
		return refusedSentence(m[1])
	}
	if m := baseRef.FindStringSubmatchIndex(text); m != nil {
		return baseSentence(text[m[2]:m[3]], text[m[1]:], cmd, r.BaseLogins)
	}
	if _, why, ok := strings.Cut(text, baseFailed+": "); ok {
		if strings.Contains(why, "401 ") || strings.Contains(why, "403 ") {
			return "the image cannot be pulled: its registry refused the login that the operator keeps for it; renew that credential"
		}
		return "the image cannot be pulled: the login to its registry did not work: " + clean(why)
	}
	if m := missingPath.FindStringSubmatch(text); m != nil {
		return missingSentence(strings.TrimPrefix(m[1], "/"), cmd, r.Spec)
	}
	if m := missingSecret.FindStringSubmatch(text); m != nil {
		return noSecret(m[1], r.Lane)
	}
	if m := missingAgent.FindStringSubmatch(text); m != nil {
		return noKey(agentID(m[1]), r.Lane)
	}
	if m := missingStage.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("there is no stage %q to build: %s", m[1], stages(r.Dockerfile))
	}
	if m := entitlement.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("a step asks for %s, which no build here gets: remove RUN's --network or --security", m[1])
	}
	if m := badName.FindStringSubmatchIndex(text); m != nil {
		return fmt.Sprintf("%s is not an image name: %s", text[m[2]:m[3]], clean(text[m[1]:]))
	}
	if strings.Contains(text, "no build stage in current context") {
		return "only ARG may stand before the first FROM"
	}
	return clean(text)
}

// noSecret and noKey say what to write where a step requires what the build
// file does not give.
func noSecret(id string, lane builder.Lane) string {
	text := fmt.Sprintf("no secret %q was given to this build: ", id)
	if lane == builder.ForkLane {
		return text + "a fork's build gets none"
	}
	return text + fmt.Sprintf("write `secrets: [{id: %s, credential: NAME}]` at the image in %s", id, config.BuildFileName)
}

func noKey(id string, lane builder.Lane) string {
	text := fmt.Sprintf("no SSH key %q was given to this build: ", id)
	if lane == builder.ForkLane {
		return text + "a fork's build gets none"
	}
	return text + fmt.Sprintf("write `ssh: [{id: %s, credential: NAME}]` at the image in %s", id, config.BuildFileName)
}

// loginFor reports whether a login was given for the image.
func loginFor(ref string, logins []builder.BaseLogin) bool {
	name, err := reference.ParseNormalizedNamed(ref)
	return err == nil && slices.ContainsFunc(logins, func(l builder.BaseLogin) bool {
		return hostOf(l.Host) == hostOf(reference.Domain(name)) && slices.Contains(l.Repositories, reference.Path(name))
	})
}

// stages tells which targets a Dockerfile has.
func stages(dockerfile []byte) string {
	const none = "none of its stages has a name (FROM … AS name)"
	parsed, err := parser.Parse(bytes.NewReader(dockerfile))
	if err != nil {
		return none
	}
	found, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return none
	}
	var names []string
	for _, s := range found {
		if s.Name != "" {
			names = append(names, s.Name)
		}
	}
	if len(names) == 0 {
		return none
	}
	return "its stages are " + strings.Join(names, ", ")
}

// missingSentence is for COPY, ADD and RUN --mount of something that is not
// there.
func missingSentence(name, cmd string, s builder.Spec) string {
	if m := fromFlag.FindStringSubmatch(cmd); m != nil {
		return fmt.Sprintf("%q is not in the stage or image %s", "/"+name, m[1])
	}
	if s.Inline != "" {
		return fmt.Sprintf("%q is not there: a Dockerfile that is built without a repository has no files to copy", name)
	}
	dir := "the repository's root"
	if c := strings.Trim(path.Clean("/"+s.Context), "/"); c != "" {
		dir = "the context " + c
	}
	return fmt.Sprintf("%q is not in the build context: paths are relative to %s, and .dockerignore may leave files out", name, dir)
}

var requestFailed = regexp.MustCompile(`^failed to do request: \w+ "[^"]*": `)

// baseSentence is for an image in FROM, COPY --from or RUN --mount.
func baseSentence(ref, text, cmd string, logins []builder.BaseLogin) string {
	// A bare name that is no image is most often a stage's, misspelt.
	var stage string
	if m := fromFlag.FindStringSubmatch(cmd); m != nil && !strings.ContainsAny(m[1], "/:@.$") {
		stage = fmt.Sprintf(", and no stage before it is called %q", m[1])
	}
	switch {
	case strings.HasSuffix(text, ": not found"):
		return fmt.Sprintf("image %s was not found: check its name and tag%s", ref, stage)
	case (refusal{text: text}).denied(), strings.Contains(text, "401 Unauthorized"), strings.Contains(text, "403 Forbidden"):
		if loginFor(ref, logins) {
			return fmt.Sprintf("image %s cannot be pulled: it is not there, or the login for its registry may not read it", ref)
		}
		return fmt.Sprintf("image %s cannot be pulled: it is not there, or not public%s", ref, stage)
	case strings.Contains(text, "no match for platform"):
		return fmt.Sprintf("image %s is not made for this platform", ref)
	}
	return fmt.Sprintf("image %s cannot be resolved: %s%s", ref, requestFailed.ReplaceAllString(clean(text), ""), stage)
}

var (
	wrappers = regexp.MustCompile(`^(?:failed to solve: |rpc error: code = \w+ desc = |dockerfile parse error on line \d+: |failed to process "[^"]*": )+`)
	query    = regexp.MustCompile(`(https?://[^\s"?]+)\?[^\s"]*`)
)

// clean makes one line of an error's text, without the layers that it went
// through and without what the addresses in it carry.
func clean(text string) string {
	text = wrappers.ReplaceAllString(strings.TrimSpace(text), "")
	text = query.ReplaceAllString(text, "$1")
	var parts []string
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(plain(line)); line != "" {
			parts = append(parts, line)
		}
	}
	return shorten(strings.Join(parts, "; "), 500)
}
