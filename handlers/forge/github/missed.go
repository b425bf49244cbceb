package github

import "time"

const missedEvery = 5 * time.Minute
