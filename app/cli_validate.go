package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
	"github.com/registry-build/registry-build/handlers"
)

func validateCommand(s streams) *cobra.Command {
	var ref string
	c := &cobra.Command{
		Use:   "validate [PATH]",
		Short: "Show every problem of a build file, and what it would build",
		Long: `Checks the .registry-build.yml at PATH (a folder or the file; default: here) as
it stands on disk, committed or not. With --ref it tells which images a push of
that ref would build with which tags, and for each rule that does not match, why.`,
		Args: atMostOne,
	}
	c.Flags().StringVar(&ref, "ref", "", "tell what a push of this `ref` would build: main, v1.0.0, refs/heads/main")
	c.RunE = func(c *cobra.Command, args []string) error {
		path := argOr(args, ".")
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			path = filepath.Join(path, config.BuildFileName)
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("there is no %s%s", path, misnamed(path))
		}
		if err != nil {
			return err
		}
		file, problems := config.ParseBuildFile(path, data)
		if len(problems) > 0 {
			fmt.Fprintln(s.err, problems)
			return errSilent
		}
		if ref == "" {
			fmt.Fprintf(s.out, "%s is fine: %s\n", path, plural(len(file.Images), "image"))
			if needs := needsOf(file); needs != "" {
				fmt.Fprintln(s.out, "it needs of the server:", needs)
			}
			return nil
		}
		event, err := pushOf(c.Context(), filepath.Dir(path), ref)
		if err != nil {
			return err
		}
		d := builder.Plan(builder.PlanInput{Event: event, File: file, Policy: unknownPolicy()})
		printDecision(s.out, event, d)
		if d.Failure != nil || slices.ContainsFunc(d.Reasons, func(r builder.Reason) bool { return r.Error }) {
			return errSilent
		}
		return nil
	}
	return c
}

// unknownPolicy stands for the server's where there is none to ask: whether a
// credential may be used is found out there.
func unknownPolicy() []config.Policy {
	return []config.Policy{{Repositories: []string{"*"}, Credentials: []string{"*"}}}
}

// needsOf names what a file takes from the server: "credentials npm-token,
// allowed by its policy; clusters prod".
func needsOf(f *config.BuildFile) string {
	credentials, clusters, manifests := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, img := range f.Images {
		for _, s := range img.Secrets {
			credentials[s.Credential] = true
		}
		for _, s := range img.SSH {
			credentials[s.Credential] = true
		}
		for _, t := range img.Triggers {
			if name := t.Credential(); name != "" {
				credentials[name] = true
			}
			if t.Kubernetes != nil {
				clusters[t.Kubernetes.Cluster] = true
			}
			if t.GitOps != nil {
				manifests[t.GitOps.Repository] = true
			}
		}
	}
	var needs []string
	if len(credentials) > 0 {
		needs = append(needs, "credentials "+strings.Join(slices.Sorted(maps.Keys(credentials)), ", ")+", allowed by its policy")
	}
	if len(clusters) > 0 {
		needs = append(needs, "clusters "+strings.Join(slices.Sorted(maps.Keys(clusters)), ", "))
	}
	if len(manifests) > 0 {
		needs = append(needs, "manifests in "+strings.Join(slices.Sorted(maps.Keys(manifests)), ", ")+", allowed by its policy unless that is the repository itself")
	}
	return strings.Join(needs, "; ")
}

// secretIDs are the names that a Dockerfile mounts.
func secretIDs(s config.Secret) string {
	if s.ID != "" {
		return s.ID
	}
	return s.SecretIDVariable + " and " + s.SecretKeyVariable
}

// triggerAction says in a few words what a trigger does.
func triggerAction(t config.Trigger) string {
	switch {
	case t.Webhook != nil:
		return "webhook " + t.Webhook.URL
	case t.Kubernetes != nil:
		k := t.Kubernetes
		return fmt.Sprintf("kubernetes %s/%s/%s/%s", k.Cluster, k.Namespace, k.Kind, k.Name)
	case t.GitOps != nil:
		return fmt.Sprintf("gitops %s, %s", t.GitOps.Repository, t.GitOps.File)
	case t.Chat != nil:
		return "chat by " + t.Chat.Credential
	}
	return "nothing"
}

// misnamed names what stands in place of a build file that is not there.
func misnamed(path string) string {
	for _, name := range []string{".registry-build.yaml", "registry-build.yml", "registry-build.yaml"} {
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), name)); err == nil {
			return fmt.Sprintf("; there is a %s: only the name %s counts", name, config.BuildFileName)
		}
	}
	return ""
}

// pushOf is the event that a push of ref would be, at the commit that the
// repository around dir has there; without one at zeros.
func pushOf(ctx context.Context, dir, ref string) (builder.Event, error) {
	e := builder.Event{ID: "validate", Kind: builder.BranchPushed, AcceptedAt: time.Now(), Commit: strings.Repeat("0", 40),
		Repository: builder.Repository{Forge: "local", ID: dir, Owner: "owner", Name: "repository"}}
	work, err := openWorktree(ctx, dir)
	if err == nil {
		e.Repository = work.repository()
	}
	switch {
	case strings.HasPrefix(ref, "refs/heads/"), strings.HasPrefix(ref, "refs/tags/"):
		e.Ref = ref
	case strings.HasPrefix(ref, "refs/"):
		return e, fmt.Errorf("--ref is %q; pushes of branches (refs/heads/…) and tags (refs/tags/…) build", ref)
	default:
		e.Ref = "refs/heads/" + ref
		if work != nil && work.resolve(ctx, e.Ref) == "" && work.resolve(ctx, "refs/tags/"+ref) != "" {
			e.Ref = "refs/tags/" + ref
		}
	}
	if strings.HasPrefix(e.Ref, "refs/tags/") {
		e.Kind = builder.TagPushed
	}
	if work != nil {
		e.Commit = firstOf(work.resolve(ctx, e.Ref), work.commit, e.Commit)
	}
	return e, nil
}

// printDecision tells a plan to a person.
func printDecision(w io.Writer, e builder.Event, d builder.Decision) {
	fmt.Fprintf(w, "a push of %s at %.7s builds %s\n", e.Ref, e.Commit, plural(len(d.Builds), "image"))
	for _, b := range d.Builds {
		fmt.Fprintf(w, "  %s, %s\n", b.Image, b.Rule)
		for _, t := range b.Tags {
			fmt.Fprintf(w, "    tag %s:%s\n", b.Destination, t)
		}
		if len(b.Tags) == 0 {
			fmt.Fprintf(w, "    no tag; pushed by digest to %s\n", b.Destination)
		}
		for _, s := range b.Spec.Secrets {
			fmt.Fprintf(w, "    secret %s from credential %s\n", secretIDs(s), s.Credential)
		}
		for _, s := range b.Spec.SSH {
			fmt.Fprintf(w, "    ssh %s from credential %s\n", s.ID, s.Credential)
		}
		for _, t := range b.Triggers {
			fmt.Fprintf(w, "    trigger %s on tags %s: %s\n", t.Name, t.Tags, triggerAction(t))
		}
		for _, warning := range b.Warnings {
			fmt.Fprintf(w, "    warning: %s\n", warning)
		}
	}
	if len(d.Reasons) > 0 {
		fmt.Fprintln(w, "not built:")
	}
	for _, r := range d.Reasons {
		fmt.Fprintln(w, reasonLine(handlers.Reason(r)))
	}
	if d.Failure != nil {
		fmt.Fprintln(w, d.Failure.Message)
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
