package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/credential"
	"github.com/registry-build/registry-build/config"
)

// credentialsCommand changes the encrypted store in the data folder. Values
// come from standard input, a file or the terminal only: arguments are seen by
// everybody who can list processes, and stay in the shell's history.
func credentialsCommand(s streams) *cobra.Command {
	c := &cobra.Command{Use: "credentials", Short: "Set, list, remove credentials and change their key; values are never shown again",
		Args: noCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(credentialsSet(s), credentialsList(s), credentialsRemove(s), credentialsRotate(s))
	return c
}

// openCredentials opens the store that `up` or `serve` with the same flags
// would use, and returns its folder: who forgot the flags sees it there.
func openCredentials(f *serverFlags) (store *credential.Store, folder string, err error) {
	cfg, err := f.load()
	if err != nil {
		return nil, "", err
	}
	dir, err := openDataDir(cfg.Data)
	if err != nil {
		return nil, "", err
	}
	folder = dir.path("credentials")
	store, err = credential.Open(folder, firstOf(cfg.KeyFile, dir.path("credentials", "key.txt")))
	return store, folder, err
}

func credentialsSet(s streams) *cobra.Command {
	var f serverFlags
	var kind, file string
	c := &cobra.Command{Use: "set NAME", Short: "Keep a credential, read from standard input, --file or the terminal", Args: exactly("a name"),
		Long: `Keeps a credential under NAME, in the place of one that has the name already.

A token, an ssh-key, a kubeconfig and a signing-secret are one text. The other
kinds are made of fields, which are written as YAML:

  password         username, password
  api-key          secretId, secretKey
  registry-login   registry (host[:port][/prefix]), username, password
  chat-robot       service (slack, dingtalk, wecom, feishu), url, and secret
                   where the chat signs; for service: email it is server
                   (host:port), from, and username and password where it asks

On a terminal each field is asked for, and secrets are not shown.`,
		Example: `  registry-build credentials set npm-token < npm-token.txt
  registry-build credentials set deploy-key --kind ssh-key --file ~/.ssh/deploy
  registry-build credentials set harbor --kind registry-login <<'END'
  registry: registry.example.com
  username: robot
  password: "…"
  END`}
	f.add(c)
	var kinds []string
	for _, k := range credential.Kinds() {
		kinds = append(kinds, string(k))
	}
	c.Flags().StringVar(&kind, "kind", string(builder.KindToken), "one of: "+strings.Join(kinds, ", "))
	c.Flags().StringVar(&file, "file", "", "`file` that holds the value (default: standard input)")
	c.RunE = func(c *cobra.Command, args []string) error {
		cred := builder.Credential{Name: args[0], Kind: builder.CredentialKind(kind)}
		// Nobody should type a value in vain.
		if err := config.CheckCredentialName(cred.Name); err != nil {
			return err
		}
		if err := credential.CheckKind(cred.Kind); err != nil {
			return err
		}
		store, folder, err := openCredentials(&f)
		if err != nil {
			return err
		}
		if cred.Fields, err = readCredential(c.Context(), s, cred.Kind, file); err != nil {
			return err
		}
		if err := store.Set(c.Context(), cred); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s (%s) is kept in %s\n", cred.Name, cred.Kind, folder)
		return nil
	}
	return c
}

// readCredential reads the file, else asks at the terminal, else reads
// standard input.
func readCredential(ctx context.Context, s streams, kind builder.CredentialKind, file string) (map[string]string, error) {
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return credential.ReadFields(kind, f)
	}
	if t, ok := terminalOf(s); ok {
		return t.ask(ctx, kind)
	}
	return credential.ReadFields(kind, s.in)
}

func credentialsList(s streams) *cobra.Command {
	var f serverFlags
	var asJSON bool
	c := &cobra.Command{Use: "list", Short: "List names, kinds and who used them last", Args: exactly()}
	f.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "everything that may be shown, as JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		store, folder, err := openCredentials(&f)
		if err != nil {
			return err
		}
		list, err := store.List(c.Context())
		if err != nil {
			return err
		}
		if len(list) == 0 {
			fmt.Fprintf(s.err, "there are none in %s; --config and --data name another server's\n", folder)
		}
		if asJSON {
			e := json.NewEncoder(s.out)
			e.SetIndent("", "  ")
			return e.Encode(list)
		}
		return printCredentials(s.out, list)
	}
	return c
}

func printCredentials(w io.Writer, list []credential.Info) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tKIND\tSET\tLAST USED\tUSED BY")
	for _, info := range list {
		at, by := "never", ""
		if len(info.Uses) > 0 {
			at, by = localTime(info.Uses[0].At), info.Uses[0].By
		}
		if more := len(info.Uses) - 1; more > 0 {
			by += fmt.Sprintf(" (and %d more)", more)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", info.Name, info.Kind, localTime(info.UpdatedAt), at, by)
	}
	return t.Flush()
}

func localTime(t time.Time) string { return t.Local().Format(time.DateTime) }

// lately is how long after its last use the removal of a credential is
// remarked on.
const lately = 30 * 24 * time.Hour

func credentialsRemove(s streams) *cobra.Command {
	var f serverFlags
	c := &cobra.Command{Use: "rm NAME", Aliases: []string{"remove"}, Short: "Forget a credential", Args: exactly("a name")}
	f.add(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		store, _, err := openCredentials(&f)
		if err != nil {
			return err
		}
		list, err := store.List(c.Context())
		if err != nil {
			return err
		}
		if err := store.Remove(c.Context(), args[0]); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s is forgotten\n", args[0])
		for _, info := range list {
			if info.Name == args[0] && len(info.Uses) > 0 && time.Since(info.Uses[0].At) < lately {
				fmt.Fprintf(s.err, "warning: it was in use: last on %s, %s; whatever names it fails until it is set again\n", localTime(info.Uses[0].At), info.Uses[0].By)
			}
		}
		return nil
	}
	return c
}

func credentialsRotate(s streams) *cobra.Command {
	var f serverFlags
	c := &cobra.Command{Use: "rotate", Short: "Encrypt the store for a new key, while the server runs", Args: exactly(),
		Long: `Makes a new key and encrypts the store for it. A running server finds the new
key by itself, and a crash at any moment leaves a key file that opens the store.
No value changes: where somebody may have had both the old key and the store,
change the values where they come from, and set them again.`}
	f.add(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		store, _, err := openCredentials(&f)
		if err != nil {
			return err
		}
		r, err := store.Rotate(c.Context())
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, `the store (%d credentials) is encrypted for a new key
  key file  %s
  new key   %s
  old key   %s
Now put a copy of the key file where you keep such copies, apart from the data.
Your copy of the old key opens only backups of the store that were made before:
keep it as long as you keep those, then destroy both.
`, r.Credentials, r.KeyFile, r.New, r.Old)
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
