package builder

// Suggest writes a build file that fits the Dockerfiles of a repository.
func Suggest(dockerfiles []string, name, defaultBranch string) Suggestion {
	return Suggestion{Dockerfiles: dockerfiles}
}
