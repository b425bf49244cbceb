package app

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
)

// credentialsCommand changes the encrypted store in the data folder. Values
// come from standard input or a file only: arguments are seen by everybody
// who can list processes, and stay in the shell's history.
func credentialsCommand(s streams) *cobra.Command {
	c := &cobra.Command{Use: "credentials", Short: "Set, list and remove credentials; values are never shown again",
		Args: noCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(credentialsSet(s), credentialsList(s), credentialsRemove(s))
	return c
}

// openCredentials opens the store that `up` or `serve` with the same flags
// would use.
func openCredentials(f *serverFlags) (*credential.Store, error) {
	cfg, err := f.load()
	if err != nil {
		return nil, err
	}
	dir, err := openDataDir(cfg.Data)
	if err != nil {
		return nil, err
	}
	return credential.Open(dir.path("credentials"), firstOf(cfg.KeyFile, dir.path("credentials", "key.txt")))
}

func credentialsSet(s streams) *cobra.Command {
	var f serverFlags
	var kind, file string
	c := &cobra.Command{Use: "set NAME", Short: "Keep a value, read from standard input or --file", Args: exactly("a name")}
	f.add(c)
	var kinds []string
	for _, k := range credential.Kinds() {
		kinds = append(kinds, string(k))
	}
	c.Flags().StringVar(&kind, "kind", string(builder.KindToken), "one of: "+strings.Join(kinds, ", "))
	c.Flags().StringVar(&file, "file", "", "`file` that holds the value (default: standard input)")
	c.RunE = func(c *cobra.Command, args []string) error {
		in := s.in
		if file != "" {
			opened, err := os.Open(file)
			if err != nil {
				return err
			}
			defer opened.Close()
			in = opened
		}
		fields, err := credential.ReadFields(builder.CredentialKind(kind), in)
		if err != nil {
			return err
		}
		store, err := openCredentials(&f)
		if err != nil {
			return err
		}
		if err := store.Set(c.Context(), builder.Credential{Name: args[0], Kind: builder.CredentialKind(kind), Fields: fields}); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s (%s) is kept\n", args[0], kind)
		return nil
	}
	return c
}

func credentialsList(s streams) *cobra.Command {
	var f serverFlags
	c := &cobra.Command{Use: "list", Short: "List names and kinds", Args: exactly()}
	f.add(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		store, err := openCredentials(&f)
		if err != nil {
			return err
		}
		list, err := store.List(c.Context())
		if err != nil {
			return err
		}
		printCredentials(s.out, list)
		return nil
	}
	return c
}

func printCredentials(w io.Writer, list []credential.Info) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tKIND\tSET")
	for _, info := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\n", info.Name, info.Kind, info.UpdatedAt.Local().Format(time.DateTime))
	}
	t.Flush()
}

func credentialsRemove(s streams) *cobra.Command {
	var f serverFlags
	c := &cobra.Command{Use: "rm NAME", Aliases: []string{"remove"}, Short: "Forget a credential", Args: exactly("a name")}
	f.add(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		store, err := openCredentials(&f)
		if err != nil {
			return err
		}
		if err := store.Remove(c.Context(), args[0]); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s is forgotten\n", args[0])
		return nil
	}
	return c
}

func tokenCommand(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "token",
		Short: "Make an access token, and the hash of it for tokens: in the server file",
		Args:  exactly(),
		RunE: func(*cobra.Command, []string) error {
			token, hash := credential.GenerateToken()
			fmt.Fprintf(s.out, "token %s\nhash  %s\n", token, hash)
			return nil
		},
	}
}
