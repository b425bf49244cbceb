// Package importer writes a build file out of the build rules of another
// service: Alibaba Cloud Container Registry (ACR) and Tencent Container
// Registry (TCR). It hides how those two describe a rule (the answers of
// ACR's API, and what stands on both consoles, in English or Chinese), how
// their regular expressions differ from ours, and which of their settings have
// no counterpart here.
//
// Nothing is dropped in silence. A difference is a comment above the line that
// it is about; what cannot be said in a build file at all is in
// Result.Unmapped and at the end of the file. A rule whose refs, directories or
// tags cannot be said becomes one that builds nothing, with the original beside
// it; an argument that cannot be is left out, and the rule says so.
//
// What the services do is taken from their pages:
// help.aliyun.com "ListRepoBuildRule" and "GetRepoBuildRuleList",
// "使用企业版实例构建镜像"; cloud.tencent.com "容器镜像服务 镜像构建".
package importer
