package buildkit

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/registry-build/registry-build/builder"
)

// laughs defines variables that are ten times each other.
func laughs(define string, levels int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "FROM scratch\n"+define+"\n", 0, "ha ha ha")
	for i := 1; i <= levels; i++ {
		fmt.Fprintf(&b, define+"\n", i, strings.Repeat(fmt.Sprintf("${A%d}", i-1), 10))
	}
	return b.String()
}

func TestInspectRefusesBombs(t *testing.T) {
	for _, c := range []struct {
		name, dockerfile string
		args             map[string]string
		want             string
	}{
		{"laughs of ENV", laughs(`ENV A%d="%s"`, 12), nil, "Dockerfile:9: up to here the Dockerfile's variables may grow to more than 64 MiB"},
		{"laughs of ARG", laughs(`ARG A%d="%s"`, 12), nil, "Dockerfile:9: up to here"},
		{"laughs of several in one", laughs(`ENV X=1 A%d="%s" Y=2`, 12), nil, "Dockerfile:9: up to here"},
		{"laughs of labels", laughs(`ENV A%d="%s"`, 5) + strings.Repeat("LABEL x=$A5$A5$A5\n", 100), nil, "up to here"},
		{"from a build argument", "FROM scratch\nARG B\n" + strings.ReplaceAll(laughs(`ENV A%d="%s"`, 4), "ha ha ha", "$B"), map[string]string{"B": strings.Repeat("b", 4000)}, "up to here"},
		{"hidden names", "FROM scratch\nENV N=A B=aaaaaaaaaa\n" + strings.Repeat("ENV $N=$A$A$A$A$B\n", 40), nil, "up to here"},
		{"replacements", "FROM scratch\nENV A=aaaaaaaaaa\n" + strings.Repeat("ENV A=${A//a/$A}\n", 6), nil, "up to here"},
		{"heredocs", laughs(`ENV A%d="%s"`, 5) + "COPY <<E /e\n" + strings.Repeat("$A5\n", 200) + "E\n", nil, "up to here"},
		{"every step carries them", "FROM scratch\nENV A=" + strings.Repeat("a", 50000) + "\n" + strings.Repeat("RUN a\n", 1900), nil, "up to here"},
		{"ports", "FROM scratch\n" + strings.Repeat("EXPOSE 1-65535\n", 1000), nil, "up to here"},
		{"instructions", "FROM scratch\n" + strings.Repeat("COPY a /\n", 20000), nil, "Dockerfile:2001: a Dockerfile has at most 2000 instructions"},
		{"words", "FROM scratch\nCOPY " + strings.Repeat("a \\\n", 10001) + " /\n", nil, "Dockerfile:2: an instruction has at most 10000 words"},
		{"bases", "FROM scratch\n" + numbered("COPY --from=base%d /a /\n", 201), nil, "Dockerfile: the build reads 201 images; at most 200 are allowed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := (&Solver{}).Inspect(t.Context(), []byte(c.dockerfile), builder.Spec{Args: c.args})
			var f *builder.Failure
			if !errors.As(err, &f) || f.Stage != builder.StageBuild || !strings.HasPrefix(f.Message, c.want) && !strings.Contains(f.Message, ": "+c.want) {
				t.Fatalf("got %.300v, want a failure with %q", err, c.want)
			}
		})
	}
}

func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestInspectTakesLongFiles(t *testing.T) {
	for name, dockerfile := range map[string]string{
		"a path that grows": "FROM scratch\nENV A=/opt PATH=/bin\n" + strings.Repeat("ENV PATH=$A/bin:$PATH\nRUN a\n", 300),
		"many stages":       "FROM scratch AS s\n" + numbered("FROM s AS s%d\nARG V=1.2.3\nENV V2=${V//./-} URL=https://example.com/$V/${V2}\nRUN a\n", 50),
		"a long script":     "FROM scratch\nRUN <<E\n" + strings.Repeat("echo $A ${B//b/$C} && \n", 20000) + "E\n",
		"port ranges":       "FROM scratch\n" + strings.Repeat("EXPOSE 30000-30010/udp ${PORT:-80}\n", 10),
		"bases":             "FROM scratch\n" + numbered("COPY --from=base%d /a /\n", 200),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := (&Solver{}).Inspect(t.Context(), []byte(dockerfile), builder.Spec{}); err != nil {
				t.Fatalf("%.300v", err)
			}
		})
	}
}
