package gitlabtest

import "github.com/xanzy/go-gitlab"

// shape is what an operation takes and answers, as the types of a Go client
// of GitLab's API say it.
type shape struct {
	options any      // nil: no parameters
	result  any      // nil: nothing that the client has a type for
	also    []string // parameters that GitLab's documentation has, and the client not
}

type none struct{}

// shapes has a row for each route.
var shapes = map[string]shape{
	"GET /version":                     {none{}, gitlab.Version{}, nil},
	"GET /metadata":                    {none{}, gitlab.Metadata{}, nil},
	"GET /user":                        {none{}, gitlab.User{}, nil},
	"GET /users":                       {gitlab.ListUsersOptions{}, []gitlab.User{}, nil},
	"GET /users/{user_id}":             {gitlab.GetUsersOptions{}, gitlab.User{}, nil},
	"GET /personal_access_tokens/self": {none{}, gitlab.PersonalAccessToken{}, nil},

	"GET /groups":                            {gitlab.ListGroupsOptions{}, []gitlab.Group{}, nil},
	"GET /groups/{id}":                       {gitlab.GetGroupOptions{}, gitlab.Group{}, nil},
	"GET /groups/{id}/projects":              {gitlab.ListGroupProjectsOptions{}, []gitlab.Project{}, nil},
	"GET /groups/{id}/members":               {gitlab.ListGroupMembersOptions{}, []gitlab.GroupMember{}, nil},
	"GET /groups/{id}/members/all":           {gitlab.ListGroupMembersOptions{}, []gitlab.GroupMember{}, nil},
	"GET /groups/{id}/members/{user_id}":     {none{}, gitlab.GroupMember{}, nil},
	"GET /groups/{id}/members/all/{user_id}": {none{}, gitlab.GroupMember{}, nil},

	"GET /projects":                            {gitlab.ListProjectsOptions{}, []gitlab.Project{}, nil},
	"GET /projects/{id}":                       {gitlab.GetProjectOptions{}, gitlab.Project{}, nil},
	"GET /projects/{id}/members":               {gitlab.ListProjectMembersOptions{}, []gitlab.ProjectMember{}, nil},
	"GET /projects/{id}/members/all":           {gitlab.ListProjectMembersOptions{}, []gitlab.ProjectMember{}, nil},
	"GET /projects/{id}/members/{user_id}":     {none{}, gitlab.ProjectMember{}, nil},
	"GET /projects/{id}/members/all/{user_id}": {none{}, gitlab.ProjectMember{}, nil},
	"GET /projects/{id}/events":                {gitlab.ListProjectVisibleEventsOptions{}, []gitlab.ProjectEvent{}, nil},

	"GET /projects/{id}/repository/branches":             {gitlab.ListBranchesOptions{}, []gitlab.Branch{}, nil},
	"POST /projects/{id}/repository/branches":            {gitlab.CreateBranchOptions{}, gitlab.Branch{}, nil},
	"GET /projects/{id}/repository/branches/{branch}":    {none{}, gitlab.Branch{}, nil},
	"DELETE /projects/{id}/repository/branches/{branch}": {none{}, nil, nil},
	"GET /projects/{id}/repository/tags":                 {gitlab.ListTagsOptions{}, []gitlab.Tag{}, nil},
	"POST /projects/{id}/repository/tags":                {gitlab.CreateTagOptions{}, gitlab.Tag{}, nil},
	"GET /projects/{id}/repository/tags/{tag}":           {none{}, gitlab.Tag{}, nil},
	"GET /projects/{id}/repository/commits":              {gitlab.ListCommitsOptions{}, []gitlab.Commit{}, nil},
	"POST /projects/{id}/repository/commits":             {gitlab.CreateCommitOptions{}, gitlab.Commit{}, nil},
	"GET /projects/{id}/repository/commits/{sha}":        {gitlab.GetCommitOptions{}, gitlab.Commit{}, nil},
	"GET /projects/{id}/repository/commits/{sha}/refs":   {gitlab.GetCommitRefsOptions{}, []gitlab.CommitRef{}, nil},
	"GET /projects/{id}/repository/tree":                 {gitlab.ListTreeOptions{}, []gitlab.TreeNode{}, nil},
	"GET /projects/{id}/repository/files/{path}":         {gitlab.GetFileOptions{}, gitlab.File{}, nil},
	"GET /projects/{id}/repository/files/{path}/raw":     {gitlab.GetRawFileOptions{}, nil, nil},

	"POST /projects/{id}/statuses/{sha}":                   {gitlab.SetCommitStatusOptions{}, gitlab.CommitStatus{}, nil},
	"GET /projects/{id}/repository/commits/{sha}/statuses": {gitlab.GetCommitStatusesOptions{}, []gitlab.CommitStatus{}, []string{"pipeline_id", "order_by", "sort"}}, // doc/api/commits.md
	"GET /projects/{id}/pipelines":                         {gitlab.ListProjectPipelinesOptions{}, []gitlab.PipelineInfo{}, nil},
	"GET /projects/{id}/pipelines/{pipeline}":              {none{}, gitlab.Pipeline{}, nil},

	"GET /projects/{id}/merge_requests":                          {gitlab.ListProjectMergeRequestsOptions{}, []gitlab.MergeRequest{}, nil},
	"POST /projects/{id}/merge_requests":                         {gitlab.CreateMergeRequestOptions{}, gitlab.MergeRequest{}, nil},
	"GET /projects/{id}/merge_requests/{iid}":                    {gitlab.GetMergeRequestsOptions{}, gitlab.MergeRequest{}, nil},
	"PUT /projects/{id}/merge_requests/{iid}":                    {gitlab.UpdateMergeRequestOptions{}, gitlab.MergeRequest{}, nil},
	"GET /projects/{id}/merge_requests/{iid}/diffs":              {gitlab.ListMergeRequestDiffsOptions{}, []gitlab.MergeRequestDiff{}, nil},
	"GET /projects/{id}/merge_requests/{iid}/changes":            {gitlab.GetMergeRequestChangesOptions{}, gitlab.MergeRequest{}, nil},
	"GET /projects/{id}/merge_requests/{iid}/pipelines":          {gitlab.ListOptions{}, []gitlab.PipelineInfo{}, nil},
	"GET /projects/{id}/repository/commits/{sha}/merge_requests": {gitlab.ListOptions{}, []gitlab.MergeRequest{}, []string{"state"}}, // doc/api/commits.md

	"GET /projects/{id}/merge_requests/{iid}/notes":           {gitlab.ListMergeRequestNotesOptions{}, []gitlab.Note{}, []string{"activity_filter"}}, // lib/api/notes.rb
	"POST /projects/{id}/merge_requests/{iid}/notes":          {gitlab.CreateMergeRequestNoteOptions{}, gitlab.Note{}, nil},
	"GET /projects/{id}/merge_requests/{iid}/notes/{note}":    {none{}, gitlab.Note{}, nil},
	"PUT /projects/{id}/merge_requests/{iid}/notes/{note}":    {gitlab.UpdateMergeRequestNoteOptions{}, gitlab.Note{}, nil},
	"DELETE /projects/{id}/merge_requests/{iid}/notes/{note}": {none{}, nil, nil},

	"GET /projects/{id}/merge_requests/{iid}/notes/{note}/award_emoji":            {gitlab.ListAwardEmojiOptions{}, []gitlab.AwardEmoji{}, nil},
	"POST /projects/{id}/merge_requests/{iid}/notes/{note}/award_emoji":           {gitlab.CreateAwardEmojiOptions{}, gitlab.AwardEmoji{}, nil},
	"DELETE /projects/{id}/merge_requests/{iid}/notes/{note}/award_emoji/{award}": {none{}, nil, nil},

	"GET /projects/{id}/merge_requests/{iid}/discussions":                              {gitlab.ListMergeRequestDiscussionsOptions{}, []gitlab.Discussion{}, nil},
	"POST /projects/{id}/merge_requests/{iid}/discussions":                             {gitlab.CreateMergeRequestDiscussionOptions{}, gitlab.Discussion{}, nil},
	"GET /projects/{id}/merge_requests/{iid}/discussions/{discussion}":                 {none{}, gitlab.Discussion{}, nil},
	"PUT /projects/{id}/merge_requests/{iid}/discussions/{discussion}":                 {gitlab.ResolveMergeRequestDiscussionOptions{}, gitlab.Discussion{}, nil},
	"POST /projects/{id}/merge_requests/{iid}/discussions/{discussion}/notes":          {gitlab.AddMergeRequestDiscussionNoteOptions{}, gitlab.Note{}, nil},
	"PUT /projects/{id}/merge_requests/{iid}/discussions/{discussion}/notes/{note}":    {gitlab.UpdateMergeRequestDiscussionNoteOptions{}, gitlab.Note{}, nil},
	"DELETE /projects/{id}/merge_requests/{iid}/discussions/{discussion}/notes/{note}": {none{}, nil, nil},

	"GET /projects/{id}/repository/commits/{sha}/comments":                                 {gitlab.GetCommitCommentsOptions{}, []gitlab.CommitComment{}, nil},
	"POST /projects/{id}/repository/commits/{sha}/comments":                                {gitlab.PostCommitCommentOptions{}, gitlab.CommitComment{}, nil},
	"GET /projects/{id}/repository/commits/{sha}/discussions":                              {gitlab.ListCommitDiscussionsOptions{}, []gitlab.Discussion{}, nil},
	"POST /projects/{id}/repository/commits/{sha}/discussions":                             {gitlab.CreateCommitDiscussionOptions{}, gitlab.Discussion{}, nil},
	"GET /projects/{id}/repository/commits/{sha}/discussions/{discussion}":                 {none{}, gitlab.Discussion{}, nil},
	"POST /projects/{id}/repository/commits/{sha}/discussions/{discussion}/notes":          {gitlab.AddCommitDiscussionNoteOptions{}, gitlab.Note{}, nil},
	"PUT /projects/{id}/repository/commits/{sha}/discussions/{discussion}/notes/{note}":    {gitlab.UpdateCommitDiscussionNoteOptions{}, gitlab.Note{}, nil},
	"DELETE /projects/{id}/repository/commits/{sha}/discussions/{discussion}/notes/{note}": {none{}, nil, nil},

	"GET /hooks":              {gitlab.ListOptions{}, []gitlab.Hook{}, nil},
	"POST /hooks":             {gitlab.AddHookOptions{}, gitlab.Hook{}, systemHookParams},
	"GET /hooks/{hook_id}":    {none{}, gitlab.Hook{}, nil},
	"PUT /hooks/{hook_id}":    {gitlab.AddHookOptions{}, gitlab.Hook{}, systemHookParams}, // the client cannot edit them: doc/api/system_hooks.md
	"DELETE /hooks/{hook_id}": {none{}, nil, nil},

	"GET /projects/{id}/hooks":                                     {gitlab.ListProjectHooksOptions{}, []gitlab.ProjectHook{}, nil},
	"POST /projects/{id}/hooks":                                    {gitlab.AddProjectHookOptions{}, gitlab.ProjectHook{}, hookParams},
	"GET /projects/{id}/hooks/{hook_id}":                           {none{}, gitlab.ProjectHook{}, nil},
	"PUT /projects/{id}/hooks/{hook_id}":                           {gitlab.EditProjectHookOptions{}, gitlab.ProjectHook{}, hookParams},
	"DELETE /projects/{id}/hooks/{hook_id}":                        {none{}, nil, nil},
	"POST /projects/{id}/hooks/{hook_id}/test/{trigger}":           {none{}, nil, nil},
	"GET /projects/{id}/hooks/{hook_id}/events":                    {gitlab.ListOptions{}, nil, []string{"status"}}, // GitLab 17.3, younger than the client: doc/api/project_webhooks.md
	"POST /projects/{id}/hooks/{hook_id}/events/{event_id}/resend": {none{}, nil, nil},

	"GET /groups/{id}/hooks":                                     {gitlab.ListGroupHooksOptions{}, []gitlab.GroupHook{}, nil},
	"POST /groups/{id}/hooks":                                    {gitlab.AddGroupHookOptions{}, gitlab.GroupHook{}, hookParams},
	"GET /groups/{id}/hooks/{hook_id}":                           {none{}, gitlab.GroupHook{}, nil},
	"PUT /groups/{id}/hooks/{hook_id}":                           {gitlab.EditGroupHookOptions{}, gitlab.GroupHook{}, hookParams},
	"DELETE /groups/{id}/hooks/{hook_id}":                        {none{}, nil, nil},
	"POST /groups/{id}/hooks/{hook_id}/test/{trigger}":           {none{}, nil, nil},
	"GET /groups/{id}/hooks/{hook_id}/events":                    {gitlab.ListOptions{}, nil, []string{"status"}}, // doc/api/group_webhooks.md
	"POST /groups/{id}/hooks/{hook_id}/events/{event_id}/resend": {none{}, nil, nil},
}

// Parameters younger than the client: doc/api/project_webhooks.md,
// doc/api/system_hooks.md.
var (
	hookParams       = []string{"name", "description", "branch_filter_strategy"}
	systemHookParams = []string{"name", "description", "branch_filter_strategy", "push_events_branch_filter"}
)

// beyond are keys of answers that GitLab has and the client not. Where no page
// is named they are of the entity of that name below lib/api/entities.
var beyond = []string{
	// UserBasic (doc/api/users.md): what every user in an answer is. The client
	// has shorter ones in some places.
	"BasicUser.locked", "BasicUser.public_email",
	"Author.locked", "Author.public_email", "Author.avatar_url", "Author.web_url",
	"Note.author.locked", "Note.author.public_email", "Note.resolved_by.locked", "Note.resolved_by.public_email",
	"AwardEmoji.user.locked", "AwardEmoji.user.public_email",
	"ProjectEvent.author.locked", "ProjectEvent.author.public_email",
	"ProjectEvent.note.author.locked", "ProjectEvent.note.author.public_email",

	"Note.imported", "Note.imported_from", "Note.commands_changes",
	"NotePosition.line_range",
	"CommitComment.created_at",
	"AwardEmoji.url",
	"PipelineInfo.name",
	"ProjectEvent.imported", "ProjectEvent.imported_from",
	"ProjectEvent.note.type", "ProjectEvent.note.updated_at", "ProjectEvent.note.project_id", "ProjectEvent.note.resolvable", "ProjectEvent.note.resolved",
	"ProjectEvent.note.resolved_by", "ProjectEvent.note.resolved_at", "ProjectEvent.note.confidential", "ProjectEvent.note.internal",
	"ProjectEvent.note.imported", "ProjectEvent.note.imported_from", "ProjectEvent.note.commands_changes", "ProjectEvent.note.position", "ProjectEvent.note.commit_id",

	// doc/api/merge_requests.md; latest_build_* and first_deployed_* are in the
	// sample testdata/get_merge_request.json of the client's successor.
	"MergeRequest.merge_user", "MergeRequest.imported", "MergeRequest.imported_from", "MergeRequest.merge_after", "MergeRequest.prepared_at",
	"MergeRequest.squash_on_merge", "MergeRequest.allow_maintainer_to_push", "MergeRequest.latest_build_started_at",
	"MergeRequest.latest_build_finished_at", "MergeRequest.first_deployed_to_production_at",
	"MergeRequestDiff.collapsed", "MergeRequestDiff.too_large", "MergeRequestDiff.generated_file",

	// doc/api/project_webhooks.md, doc/api/group_webhooks.md, doc/api/openapi/openapi_v3.yaml
	"ProjectHook.branch_filter_strategy", "ProjectHook.disabled_until", "ProjectHook.emoji_events", "ProjectHook.feature_flag_events",
	"ProjectHook.milestone_events", "ProjectHook.repository_update_events", "ProjectHook.resource_deploy_token_events", "ProjectHook.url_variables",
	"ProjectHook.vulnerability_events",
	"GroupHook.name", "GroupHook.description", "GroupHook.branch_filter_strategy", "GroupHook.disabled_until", "GroupHook.emoji_events",
	"GroupHook.feature_flag_events", "GroupHook.milestone_events", "GroupHook.project_events", "GroupHook.repository_update_events",
	"GroupHook.resource_deploy_token_events", "GroupHook.url_variables", "GroupHook.vulnerability_events",
	"Hook.name", "Hook.description", "Hook.alert_status", "Hook.disabled_until", "Hook.branch_filter_strategy", "Hook.push_events_branch_filter",
	"Hook.url_variables", "Hook.custom_webhook_template", "Hook.custom_headers", // doc/api/system_hooks.md

	// doc/api/project_members.md, doc/api/group_members.md
	"ProjectMember.locked", "ProjectMember.public_email", "ProjectMember.membership_state",
	"GroupMember.locked", "GroupMember.public_email", "GroupMember.membership_state",
	"PersonalAccessToken.description", // doc/api/personal_access_tokens.md
	"Tag.created_at",                  // doc/api/tags.md
}
