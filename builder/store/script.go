package store

import (
	"context"
	"embed"
	"fmt"
	"iter"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var luaFiles embed.FS

// scripts are the store's commands. Each file says what it takes and returns.
type scripts struct {
	append, nextEvent, holdEvent, decide, withdraw, seed, home *redis.Script

	claim, heartbeat, advance, finish, release *redis.Script

	cancel, delete, find, place *redis.Script

	claimInput, keepInput *redis.Script

	nextEffect, endEffect, holdEffects *redis.Script

	keepRun, settleRun, retryRun, findRuns *redis.Script

	putStatus, tagLease, remark *redis.Script

	detail, logAppend, logSeal *redis.Script
}

// loadScripts reads the embedded files. Those that work on control state get
// control.lua in front, but for the one that a forge waits for.
func loadScripts() *scripts {
	shared := mustRead("control")
	onControl := func(name string) *redis.Script { return redis.NewScript(shared + mustRead(name)) }
	alone := func(name string) *redis.Script { return redis.NewScript(mustRead(name)) }
	return &scripts{
		append: alone("append"), nextEvent: onControl("next_event"),
		holdEvent: onControl("hold_event"), decide: onControl("decide"),
		withdraw: onControl("withdraw"), seed: onControl("seed"), home: onControl("home"),
		claim: onControl("claim"), heartbeat: onControl("heartbeat"), advance: onControl("advance"),
		finish: onControl("finish"), release: onControl("release"),
		cancel: onControl("cancel"), delete: onControl("delete"), find: onControl("find"), place: onControl("place"),
		claimInput: onControl("claim_input"), keepInput: onControl("keep_input"),
		nextEffect: onControl("next_effect"), endEffect: onControl("end_effect"), holdEffects: onControl("hold_effects"),
		keepRun: alone("keep_run"), settleRun: onControl("settle_run"),
		retryRun: onControl("retry_run"), findRuns: onControl("find_runs"),
		putStatus: onControl("put_status"), tagLease: onControl("tag_lease"), remark: onControl("remark"),
		detail: alone("detail"), logAppend: alone("log_append"), logSeal: alone("log_seal"),
	}
}

// mustRead panics only on a file that is missing from the binary itself.
func mustRead(name string) string {
	text, err := luaFiles.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(fmt.Sprintf("store: %v", err))
	}
	return string(text)
}

// run runs a script on control state and returns its array.
func (s *Store) run(ctx context.Context, script *redis.Script, args ...any) (reply, error) {
	return runOn(ctx, s.client, script, []string{control}, args...)
}

func runOn(ctx context.Context, client redis.UniversalClient, script *redis.Script, keys []string, args ...any) (reply, error) {
	value, err := script.Run(ctx, client, keys, args...).Result()
	if err != nil {
		return nil, classify(ctx, err)
	}
	if list, ok := value.([]any); ok {
		return list, nil
	}
	return reply{value}, nil
}

// reply is an array that a script returned. Asking for what is not there
// gives the zero value.
type reply []any

func (r reply) text(i int) string {
	if i < len(r) {
		if s, ok := r[i].(string); ok {
			return s
		}
	}
	return ""
}

func (r reply) number(i int) int64 {
	if i < len(r) {
		if n, ok := r[i].(int64); ok {
			return n
		}
	}
	return 0
}

func (r reply) list(i int) reply {
	if i < len(r) {
		if l, ok := r[i].([]any); ok {
			return l
		}
	}
	return nil
}

// pairs goes through a list of names and values.
func (r reply) pairs() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for i := 0; i+1 < len(r); i += 2 {
			if !yield(r.text(i), r.text(i+1)) {
				return
			}
		}
	}
}

// texts returns all elements. Lists of any length are an element of a reply:
// Lua's unpack fails at some thousands, after everything is written.
func (r reply) texts() []string {
	out := make([]string, len(r))
	for i := range r {
		out[i] = r.text(i)
	}
	return out
}
