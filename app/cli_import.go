package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/config/importer"
)

// maxImport is more than the importer takes, so that it is the one to say so.
const maxImport = 2 << 20

func importCommand(s streams) *cobra.Command {
	var output string
	var force bool
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Write a build file out of another service's build rules",
		Long: `Reads the build rules of Alibaba Cloud Container Registry (ACR) or Tencent
Container Registry (TCR) and writes the .registry-build.yml that does the same.
FILE ("-" is standard input) is JSON or YAML: the answer of ACR's
ListRepoBuildRule or GetRepoBuildRuleList as it is, or what stands on the
console, typed in; config/MIGRATION.md has the keys and examples.

Differences are comments in the file, above the line that they are about. What
has no place in a build file is listed at its end and on standard error. A rule
that cannot be said here, like one with an expression that looks ahead, becomes
one that builds nothing, marked TODO. The exit status is 1 when no rule is left.`,
		Example: `  aliyun cr ListRepoBuildRule --InstanceId cri-… --RepoId crr-… | registry-build import - -o .registry-build.yml
  registry-build import rules.yml > .registry-build.yml
  registry-build validate --ref main`,
		Args: exactly("a file"),
	}
	c.Flags().StringVarP(&output, "output", "o", "", "write to this `file` instead of standard output")
	c.Flags().BoolVar(&force, "force", false, "with --output: overwrite a file that is there")
	c.RunE = func(_ *cobra.Command, args []string) error {
		name, data, err := readSource(s.in, args[0])
		if err != nil {
			return err
		}
		result, err := importer.Import(name, data)
		if problems := (config.Diagnostics)(nil); errors.As(err, &problems) {
			fmt.Fprintln(s.err, problems)
			return errSilent
		}
		if err != nil {
			return err
		}
		if output == "" {
			_, err = s.out.Write(result.File)
		} else {
			err = writeNew(output, result.File, force)
		}
		if err != nil {
			return err
		}
		tellImport(s.err, name, output, result)
		return nil
	}
	return c
}

// readSource reads a file, or standard input for "-".
func readSource(in io.Reader, path string) (name string, data []byte, err error) {
	if path == "-" {
		data, err = io.ReadAll(io.LimitReader(in, maxImport))
		return "stdin", data, err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	data, err = io.ReadAll(io.LimitReader(f, maxImport))
	return filepath.Base(path), data, err
}

// writeNew writes a file that is not there yet, unless it may be overwritten.
func writeNew(path string, data []byte, force bool) error {
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(path, mode, 0o644)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already; --force overwrites it", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// tellImport says how much came over, and what did not.
func tellImport(w io.Writer, name, output string, r *importer.Result) {
	to := ""
	if output != "" {
		to = " in " + output
	}
	fmt.Fprintf(w, "%s out of those of %s%s", plural(r.Rules, "rule"), r.Service, to)
	if len(r.Unmapped) == 0 {
		fmt.Fprintln(w, "; everything has a place")
		return
	}
	fmt.Fprintf(w, "; %s without a place here:\n", plural(len(r.Unmapped), "thing"))
	for _, n := range r.Unmapped {
		fmt.Fprintln(w, "  "+n.At(name))
	}
}
