package buildkit

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	keyword "github.com/moby/buildkit/frontend/dockerfile/command"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/registry-build/registry-build/builder"
)

// A Dockerfile is read in this process, by BuildKit's translation, which has
// no limits of its own and whose time grows with the square of a file's
// instructions. Nobody's real Dockerfile comes near these.
const (
	maxInstructions = 2000
	maxWords        = 10_000   // of one instruction
	maxBases        = 200      // images that a build reads
	maxExpanded     = 64 << 20 // bytes that variables make of all instructions together
	portRange       = 2 << 20  // bytes that EXPOSE 1-65535 counts for
)

// checkBounds refuses what could not be translated in reasonable time and
// memory: ten lines of ENV A=$B$B$B$B$B$B$B$B$B$B are 10 GB. args are the
// build's. A file that does not parse is left to the translation to explain.
func checkBounds(dockerfile []byte, spec builder.Spec) error {
	parsed, err := parser.Parse(bytes.NewReader(dockerfile))
	if err != nil {
		return nil
	}
	refuse := func(n *parser.Node, format string, a ...any) error {
		name := dockerfileName(spec)
		return &builder.Failure{Stage: builder.StageBuild, File: name, Line: n.StartLine,
			Message: fmt.Sprintf("%s:%d: ", name, n.StartLine) + fmt.Sprintf(format, a...)}
	}
	g := growth{sizes: map[string]float64{}}
	for name, value := range spec.Args {
		g.define(name, value)
	}
	total := 0.0
	for i, n := range parsed.AST.Children {
		if i == maxInstructions {
			return refuse(n, "a Dockerfile has at most %d instructions, and more follow here", maxInstructions)
		}
		if words := len(strings.Fields(n.Original)); words > maxWords && !strings.EqualFold(n.Value, keyword.Run) {
			return refuse(n, "an instruction has at most %d words; this one has %d", maxWords, words)
		}
		if total += g.instruction(n); total > maxExpanded {
			return refuse(n, "up to here the Dockerfile's variables may grow to more than %d MiB when their values are put in: shorten them", maxExpanded>>20)
		}
	}
	return nil
}

// growth follows how long the values of variables may become. It knows no
// stages: a name counts with the longest value that it has anywhere, so the
// estimate is never too low. Sizes are bytes; float64 does not overflow.
type growth struct {
	sizes map[string]float64
	any   float64 // of variables whose names are not known
	env   float64 // of all variables, which every step carries
}

// instruction is the most that it comes to, with the variables that its step
// carries.
func (g *growth) instruction(n *parser.Node) float64 {
	switch strings.ToLower(n.Value) {
	case keyword.Env: // a chain of name, value, separator, name …
		for at := n.Next; at != nil && at.Next != nil; {
			g.define(at.Value, at.Next.Value)
			if at = at.Next.Next; at != nil {
				at = at.Next
			}
		}
	case keyword.Arg:
		for at := n.Next; at != nil; at = at.Next {
			name, value, _ := strings.Cut(at.Value, "=")
			g.define(name, value)
		}
	case keyword.Run: // the shell's variables, not ours
		return float64(len(n.Original)) + g.env
	}
	size := g.size(n.Original) + g.env
	if strings.EqualFold(n.Value, keyword.Expose) {
		size += portRange * float64(strings.Count(n.Original, "-"))
	}
	for _, h := range n.Heredocs {
		size += g.size(h.Content)
	}
	return size
}

// define takes a name that is itself made of variables for any name.
func (g *growth) define(name, value string) {
	size := g.size(value)
	if strings.Contains(name, "$") {
		g.any = max(g.any, size)
		g.env += g.size(name) + size
		return
	}
	if size > g.sizes[name] {
		g.env += size - g.sizes[name]
		g.sizes[name] = size
	}
}

func (g *growth) of(name string) float64 { return max(g.sizes[name], g.any) }

var (
	variable    = regexp.MustCompile(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)
	replacement = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)/([^}]*)`) // ${NAME/pattern/by}
)

// size is the most bytes that the text has when its variables are put in.
func (g *growth) size(text string) float64 {
	size := g.literal(text)
	for _, m := range replacement.FindAllStringSubmatch(text, -1) {
		size += g.of(m[1]) * g.literal(m[2])
	}
	return size
}

func (g *growth) literal(text string) float64 {
	size := float64(len(text))
	for _, m := range variable.FindAllStringSubmatch(text, -1) {
		size += g.of(m[1])
	}
	return size
}
