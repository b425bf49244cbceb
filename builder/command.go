package builder

// CommandSource is where a command came from.
type CommandSource string

const (
	FromComment CommandSource = "comment"
	FromButton  CommandSource = "button" // of a check run
	FromRerun   CommandSource = "rerun"  // the forge's own "run again"
)

// CommandName names a command; Commands tells how each is written.
type CommandName string

const (
	CommandBuild     CommandName = "build"
	CommandRebuild   CommandName = "rebuild"
	CommandCancel    CommandName = "cancel"
	CommandOkToBuild CommandName = "ok-to-build"
	CommandPromote   CommandName = "promote"
	CommandPause     CommandName = "pause"
	CommandResume    CommandName = "resume"
	CommandStatus    CommandName = "status"
	CommandWhy       CommandName = "why"
	CommandHelp      CommandName = "help"
)

// Command is what somebody asks for, on a pull request (Pull) or on a commit
// (the event's Commit). Who asks is the event's Actor.
type Command struct {
	Source CommandSource `json:"source"`
	Name   CommandName   `json:"name,omitempty"`
	Text   string        `json:"text,omitempty"` // the line as it was written, for the answer

	Image   string `json:"image,omitempty"`   // "": all of them
	Ref     string `json:"ref,omitempty"`     // build --ref
	Commit  string `json:"commit,omitempty"`  // ok-to-build
	Tag     string `json:"tag,omitempty"`     // promote
	NoCache bool   `json:"noCache,omitempty"` // build, rebuild
	Invalid string `json:"invalid,omitempty"` // why it cannot be understood: then that is the answer

	Pull    int    `json:"pull,omitempty"`    // number; 0: on a commit
	Comment string `json:"comment,omitempty"` // the forge's id of the comment, for the reaction
	BuildID string `json:"buildId,omitempty"` // the build whose button was pressed or that is to run again

	// Body is the comment as it came. The intake reads the command from it
	// and drops it.
	Body string `json:"-"`
}

// Permission is what a person may do in a repository.
type Permission int

const (
	PermissionNone Permission = iota
	PermissionRead
	PermissionWrite
	PermissionAdmin
)

// Needs is what the person who writes the command must be allowed.
func (n CommandName) Needs() Permission {
	switch n {
	case CommandStatus, CommandWhy, CommandHelp:
		return PermissionRead
	}
	return PermissionWrite
}

// CommandUsage is what people are told of a command.
type CommandUsage struct {
	Name    CommandName
	Form    string // "/build [image]"
	Example string // a line that works
	Text    string // what it does, one line
}

// Who says who may use the command.
func (u CommandUsage) Who() string {
	if u.Name.Needs() == PermissionRead {
		return "everybody who can read the repository"
	}
	return "everybody who can write to the repository"
}

// Commands are all commands, in the order in which people should hear of
// them. /help, refusals and the documentation are made of this one table.
func Commands() []CommandUsage {
	return []CommandUsage{
		{CommandBuild, "/build [image] [--ref REF] [no-cache]", "/build api no-cache", "builds the head of the pull request, the commit, or the branch or tag REF, by the rules of `" + buildFileName + "`"},
		{CommandRebuild, "/rebuild [image] [no-cache]", "/rebuild api", "builds again what failed or was cancelled, or the image, however it ended"},
		{CommandCancel, "/cancel [image]", "/cancel api", "ends what is queued or running"},
		{CommandOkToBuild, "/ok-to-build SHA", "/ok-to-build " + exampleCommit, "lets this one commit of a fork be built"},
		{CommandPromote, "/promote [image] TAG", "/promote api v1.2", "puts the tag on the image of this commit, which is built first where there is none"},
		{CommandPause, "/pause [image]", "/pause api", "stops automatic builds in this repository until `/resume`"},
		{CommandResume, "/resume [image]", "/resume api", "lets automatic builds start again"},
		{CommandStatus, "/status", "/status", "shows the newest build of each image"},
		{CommandWhy, "/why", "/why", "shows what was decided on each image and rule"},
		{CommandHelp, "/help", "/help", "shows this table"},
	}
}

const exampleCommit = "0123456789abcdef0123456789abcdef01234567"

// Answer is what a command came to, in Markdown, for whoever wrote it.
type Answer struct {
	Text    string `json:"text"`
	Refused bool   `json:"refused,omitempty"`
}
