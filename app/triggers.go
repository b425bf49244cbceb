package app

import (
	"log/slog"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/builder/trigger"
	"github.com/registry-build/registry-build/builder/trigger/chat"
	"github.com/registry-build/registry-build/builder/trigger/gitops"
	"github.com/registry-build/registry-build/builder/trigger/guard"
	"github.com/registry-build/registry-build/builder/trigger/kubernetes"
	"github.com/registry-build/registry-build/builder/trigger/webhook"
	"github.com/registry-build/registry-build/config"
)

// triggerOptions are what the kinds of triggers need of the rest of the house.
type triggerOptions struct {
	config    *config.Server
	vault     builder.Vault
	tags      trigger.Tags
	hide      redactor
	registry  string // host of images that are stored without one
	manifests string // folder of clones that gitops triggers write to
	forges    map[string]gitops.Forge
	buildURL  func(id string) string // the build's page
	log       *slog.Logger
}

// newTriggers is the table of triggers: a new kind is one more row.
func newTriggers(o triggerOptions) (*trigger.Set, error) {
	out, err := guard.New(guard.Options{AllowPrivate: o.config.Triggers.AllowPrivate, AllowHosts: o.config.Triggers.AllowHosts})
	if err != nil {
		return nil, err
	}
	hook, err := webhook.New(webhook.Options{Vault: o.vault, Guard: out, Registry: o.registry, BuildURL: o.buildURL, Version: version})
	if err != nil {
		return nil, err
	}
	talk, err := chat.New(chat.Options{Vault: o.vault, Guard: out, Registry: o.registry, BuildURL: o.buildURL, Version: version})
	if err != nil {
		return nil, err
	}
	cluster, err := kubernetes.New(kubernetes.Options{Clusters: o.config.Clusters, Vault: o.vault, Policy: o.config.Policy, Registry: o.registry})
	if err != nil {
		return nil, err
	}
	write, err := gitops.New(gitops.Options{Dir: o.manifests, Forges: o.forges, Vault: o.vault, Policy: o.config.Policy,
		Registry: o.registry, BuildURL: o.buildURL, Log: o.log})
	if err != nil {
		return nil, err
	}
	return trigger.NewSet(trigger.Options{
		Kinds: map[string]trigger.Kind{"webhook": hook, "chat": talk, "kubernetes": cluster, "gitops": write},
		Tags:  o.tags, Redact: o.hide.Redact, Log: o.log,
	})
}
