package store

// The grammar of the keys. Words in capitals vary; REPO is a
// builder.Repository's Key, IMAGES an image repository with host.
//
// Control, all in one slot of a cluster. Scripts build these names themselves
// (lua/control.lua), keys_test.go holds the two against each other.
//
//	{rb}                        never a key: it names the slot to scripts
//	{rb}:wake                   channel of wake-ups: queue, inbox, outbox, firing,
//	                            event:ID, build:ID, stop:ID, log:ID, tags:IMAGES
//	{rb}:seq                    number of the last event that was accepted
//	{rb}:turn                   counter for rings, versions and tokens
//	{rb}:repositories           hash REPO -> builder.Repository
//	{rb}:intents:REPO           hash event id -> builder.Event
//	{rb}:homes                  hash name (owner/name, lower case) -> REPO that has it for ever
//	{rb}:home-below             hash name -> REPO that has one below it, the first
//	{rb}:home-of                hash REPO -> its name there, the first
//	{rb}:home-others            hash REPO -> the names that it took later and nobody had before
//	{rb}:active                 zset REPO by when its last event was accepted (ms)
//	{rb}:accepted:REPO          hash ref -> commit of the last accepted event
//	{rb}:seeded                 set REPO whose heads were taken as accepted
//	{rb}:looks                  hash REPO -> up to when its comments were read (ms)
//	{rb}:paused:REPO            hash image -> who paused it; "" is all of them
//	{rb}:approved:REPO          hash ref of an open pull request -> commit that may be built
//
//	{rb}:event:EVENT            hash event seq at(µs) ref about(ref, where it is another) attempts
//	                            decision by(token) decided(ms)     7 days once decided,
//	                            90 while it is the latest of its ref
//	{rb}:latest:REPO:REF        event id of the last push that was decided        90 days
//	{rb}:inbox:REPO             list of event ids, oldest first
//	{rb}:inboxes                zset REPO by when it is due (ms)
//	{rb}:inbox-leases           hash REPO -> token
//	{rb}:heads:REPO             hash ref -> builder.Position
//	{rb}:owners:REPO            hash image:tag -> ref
//
//	{rb}:build:ID               hash event repo image ref commit lineage seq level
//	                            state attempt lost worker queued started finished
//	                            stop_state stop_reason reason failure result input
//	                            shown (commit of its statuses, where it is another)
//	                                                               90 days once terminal
//	{rb}:builds, {rb}:builds:REPO   zset of ids, which sort by time; pruned when one is added
//	{rb}:queue:LEVEL:REPO       zset of ids by seq; LEVEL is the builder.Priority
//	{rb}:ring:LEVEL             zset REPO by turn
//	{rb}:running:REPO           set of ids
//	{rb}:leases                 zset of ids by deadline (ms)
//	{rb}:lineage:LINEAGE        zset of the ids by seq that are not terminal
//	{rb}:newest:LINEAGE         hash seq commit ref of the newest ever queued     90 days
//	{rb}:last:REPO:REF          hash image -> "seq state" of the last one that ended
//	                                                               90 days after it
//	{rb}:input:KEY              hash digest from | building (a build's id)        90 days
//
//	{rb}:outbox                 zset of effects by when they are due (ms)
//	{rb}:firing                 the same of those that fire triggers
//	{rb}:effect:EFFECT          hash version attempt token urgent(version), asked(turn) by
//	                            of a manual retry; EFFECT is event:EVENT, build:ID,
//	                            untag:EVENT, run:ID:NAME or trigger:ID:NAME
//	{rb}:run:ID                 hash trigger -> builder.RunState                  90 days
//	{rb}:runs, {rb}:runs:REPO   zset of ID:NAME; pruned when one is added
//	{rb}:status:REPO:COMMIT     hash context -> "seq at(µs) " builder.Report      90 days
//	{rb}:thread:REPO:THREAD     hash shown, topic:TOPIC -> "seq standing|answer "
//	                            builder.Remark or nothing; THREAD is a pull request's
//	                            number or a commit                 90 days after a change
//	{rb}:memo:KEY               what an adapter remembers          as long as it says
//	{rb}:tags:IMAGES            hash tag -> builder.Position, without its digest
//	{rb}:pushed:IMAGES          hash tag -> digest that it was last known to name;
//	                            IMAGES of the embedded registry without host here
//	{rb}:registered:IMAGES      hash REPO -> builder.Registration; IMAGES as above
//	{rb}:registrations:REPO     set of the IMAGES that have one, and "" once the
//	                            default branch's file was read
//	{rb}:tag-lease:IMAGES       token of the holder
//
// Details, one slot for each build:
//
//	{b:ID}                      hash plan, fences, result:NAME                    120 days
//	{b:ID}:triggers             hash trigger -> "turn " builder.TriggerRun; the turn is
//	                            that of the effect's lease                        90 days
//	{b:ID}:log                  stream of entries n-0, field d                    30 days
//	{b:ID}:log:meta             hash attempt n head head_end tail cut cut_to
//	                            closed sealed                                     30 days
//	{b:ID}:log:zst              the finished log                                  30 days
const control = "{rb}"

const wakeChannel = control + ":wake"

func repositoriesKey() string            { return control + ":repositories" }
func intentsKey(repo string) string      { return control + ":intents:" + repo }
func headsKey(repo string) string        { return control + ":heads:" + repo }
func activeKey() string                  { return control + ":active" }
func latestKey(repo, ref string) string  { return control + ":latest:" + repo + ":" + ref }
func memoKey(key string) string          { return control + ":memo:" + key }
func looksKey() string                   { return control + ":looks" }
func acceptedKey(repo string) string     { return control + ":accepted:" + repo }
func eventKey(id string) string          { return control + ":event:" + id }
func buildKey(id string) string          { return control + ":build:" + id }
func leasesKey() string                  { return control + ":leases" }
func statusKey(repo, sha string) string  { return control + ":status:" + repo + ":" + sha }
func tagsKey(images string) string       { return control + ":tags:" + images }
func pushedKey(images string) string     { return control + ":pushed:" + images }
func registeredKey(images string) string { return control + ":registered:" + images }
func runKey(id string) string            { return control + ":run:" + id }
func detailKey(id string) string         { return "{b:" + id + "}" }
func triggersKey(id string) string       { return detailKey(id) + ":triggers" }
func logKey(id string) string            { return detailKey(id) + ":log" }
func logMetaKey(id string) string        { return detailKey(id) + ":log:meta" }
func logFrameKey(id string) string       { return detailKey(id) + ":log:zst" }

// What people and goroutines wait for.
const (
	topicInbox  = "inbox"
	topicQueue  = "queue"
	topicOutbox = "outbox" // also the name of a lane
	topicFiring = "firing" // so is this
)

func topicEvent(id string) string    { return "event:" + id }
func topicBuild(id string) string    { return "build:" + id }
func topicStop(id string) string     { return "stop:" + id }
func topicLog(id string) string      { return "log:" + id }
func topicTags(images string) string { return "tags:" + images }
