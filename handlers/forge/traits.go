package forge

// Traits say in a few words how a forge does what forges differ in; what is
// not there it cannot do, and people get what stands in Without instead. The
// contract suite tries each, and README.md's matrix is made of them.
type Traits map[Trait]string

// Trait is something that forges differ in.
type Trait string

// The traits, in the order of the matrix.
const (
	Proof       Trait = "deliveries are proved by"
	Redelivery  Trait = "lost deliveries"
	Comparison  Trait = "missed pushes, pull requests, comments"
	Clone       Trait = "clone credential"
	Statuses    Trait = "statuses"
	Progress    Trait = "progress within a state"
	Lines       Trait = "a failing line"
	Log         Trait = "the log at the forge"
	Buttons     Trait = "buttons"
	Sticky      Trait = "the one comment"
	Reactions   Trait = "a command is acknowledged by"
	OnCommits   Trait = "commands on commits"
	Pulls       Trait = "pull requests"
	WouldBe     Trait = "would-be merges"
	MergeQueue  Trait = "merge queue"
	Permissions Trait = "who may command"
	Protection  Trait = "protected branches"
	Deployments Trait = "deployments"
	GitOps      Trait = "GitOps writes"
	Onboarding  Trait = "without a build file"
)

// AllTraits lists the traits in order, with what happens without each.
func AllTraits() []struct {
	Trait   Trait
	Without string
} {
	return []struct {
		Trait   Trait
		Without string
	}{
		{Proof, "no webhooks: pushes come to us"},
		{Redelivery, "comparison finds them"},
		{Comparison, "pushes only"},
		{Clone, "none needed"},
		{Statuses, "`registry-build builds`"},
		{Progress, "the link shows it"},
		{Lines, "in the status and the log"},
		{Log, "the link shows it"},
		{Buttons, "commands"},
		{Sticky, "answers in the API"},
		{Reactions, "the answer alone"},
		{OnCommits, "API and command line"},
		{Pulls, "branches only"},
		{WouldBe, "the head is built"},
		{MergeQueue, "the head is built"},
		{Permissions, "tokens' scopes"},
		{Protection, "the default branch's file decides"},
		{Deployments, "runs on the page and in the API"},
		{GitOps, "an https address with a token"},
		{Onboarding, "README"},
	}
}
