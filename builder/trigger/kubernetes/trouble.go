package kubernetes

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// findTrouble looks for a new pod that does not come up. It keeps the time at
// which trouble began: a pod that crashes runs for a moment between two
// crashes, and a pull is tried under changing names.
func findTrouble(pods []pod, had *trouble, now time.Time) *trouble {
	for _, p := range pods {
		text := podTrouble(p)
		if text == "" {
			continue
		}
		t := &trouble{Pod: p.Name, Text: text, Since: now}
		if had != nil {
			t.Since = had.Since
		}
		return t
	}
	return nil
}

// podTrouble says why a pod's container cannot run, "" where it can.
func podTrouble(p pod) string {
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		wait := c.State.Waiting
		switch {
		case wait != nil && wait.Reason == "CrashLoopBackOff", !c.Ready && c.RestartCount > 0 && c.LastState.Terminated != nil && c.LastState.Terminated.ExitCode != 0:
			return crash(c)
		case wait != nil && brokenStart(wait.Reason):
			return strings.TrimSuffix(wait.Reason+": "+clip(wait.Message), ": ")
		}
	}
	return ""
}

// brokenStart knows the reasons of a kubelet that cannot start a container.
func brokenStart(reason string) bool {
	switch reason {
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable",
		"CreateContainerConfigError", "CreateContainerError", "RunContainerError":
		return true
	}
	return false
}

// crash says how a container ended the last time.
func crash(c containerStatus) string {
	text := fmt.Sprintf("CrashLoopBackOff: container %s was started again %s", c.Name, times(c.RestartCount))
	end := c.LastState.Terminated
	if end == nil {
		end = c.State.Terminated
	}
	if end == nil {
		return text
	}
	text += fmt.Sprintf(", and ended with exit code %d", end.ExitCode)
	if end.Reason != "" && end.Reason != "Error" {
		text += " (" + end.Reason + ")"
	}
	if end.Message != "" {
		text += ": " + clip(strings.TrimSpace(end.Message))
	}
	return text
}

func times(n int32) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// unscheduled says why a pod has no place, for people who wait for it.
func unscheduled(pods []pod) string {
	for _, p := range pods {
		for _, c := range p.Status.Conditions {
			if c.Type == "PodScheduled" && c.Status == "False" {
				return fmt.Sprintf("; pod %s has no node: %s", p.Name, clip(c.Message))
			}
		}
	}
	return ""
}
