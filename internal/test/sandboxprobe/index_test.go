//go:build linux

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	launcher = "../../../transport/stdio"
	backend  = launcher + "/sandbox"
	egress   = launcher + "/egress"
	here     = "."
)

// elsewhere says where the probes are tested that are no attempt from inside: each a
// folder and the names of its tests.
var elsewhere = map[int][]string{
	22:  {launcher, "TestATreeThatIsNotTheReviewedOneDoesNotRun", "TestATreeRunsFromItsCopy"},
	27:  {here, "TestT3", "TestT2", "TestT3OfRoot"}, // untouched
	66:  {egress, "TestQuestions", "TestJunkQuestions"},
	67:  {egress, "TestConnectIsRefused", "TestMalformedRequestsToTheProxy"},
	68:  {egress, "TestNameThatLeadsInside", "TestNameThatLeadsInsideTransparently", "TestNameThatLeadsInsideLater"},
	69:  {egress, "TestServerNameMustMatch", "TestFragmentedHello"},
	70:  {egress, "TestRelayInside", "TestConnectInsideATunnel"},
	71:  {egress, "TestSOCKS"},
	72:  {egress, "TestNamesAreComparedExactly"},
	73:  {egress, "TestClientsWithAProxy", "TestGoClientWithAProxy", "TestClientsInsideANamespace", "TestClientsWithoutNamespaces"},
	74:  {egress, "TestConnectionFlood"},
	85:  {launcher, "TestWhatIsNotTheReviewedProgramDoesNotRun"},
	86:  {launcher, "TestSwappedBytesNeverRun"},
	87:  {here, "TestSealedProgram"},
	88:  {launcher, "TestATreeThatIsNotTheReviewedOneDoesNotRun"},
	89:  {launcher, "TestInterpretersRunTheTreeOnly", "TestSystemProgramsAreRootsAlone"},
	90:  {launcher, "TestSignedPrograms"},
	91:  {launcher, "TestCommandsThatRunSomethingElse"},
	92:  {launcher, "TestADigestIsReadOnce"},
	94:  {launcher, "TestVariablesThatInjectCodeAreRefused"},
	97:  {backend, "TestHostIsKilled"},
	98:  {backend, "TestKillEndsTheTree", "TestKillWithoutNamespaces"},
	99:  {backend, "TestStartIsCancelled", "TestCancelAfterTheStart"},
	100: {launcher, "TestAFloodCostsBoundedMemory"},
	101: {launcher, "TestAFloodOnStandardErrorBlocksNothing"},
	102: {backend, "TestWhatCannotBeStarted"},
	103: {backend, "TestStress"},
	104: {backend, "TestThreadsEnd"},
	105: {backend, "TestWhatIsMissingIsRefusedByName", "TestWhatIsMissingForRoot"},
	118: {backend, "TestStress"},
	119: {backend, "TestNested", "TestNestedInItself"},
	120: {backend, "TestWhatCannotBeStarted"},
	121: {launcher, "TestAGoServerInTheSandbox", "TestServersOfOthersInTheSandbox", "TestAPythonServerInTheSandbox"},
	122: {here, "TestServersRun"},
	123: {launcher, "TestAPrivateCopyRunsUnderAPath"},
	124: {launcher, "BenchmarkPing"},
}

// TestIndex: each of the 124 probes of the research has an attempt here or a test that
// exists.
func TestIndex(t *testing.T) {
	t.Parallel()
	inside := make(map[int]bool)
	for _, p := range probes() {
		inside[p.number] = true
	}
	for n := 1; n <= 124; n++ {
		at, listed := elsewhere[n]
		if n > 105 && n <= 116 {
			at, listed = elsewhere[105], true // one for each control
		}
		if listed == false {
			if !inside[n] {
				t.Errorf("probe %d is tested nowhere", n)
			}
			continue
		}
		for _, name := range at[1:] {
			if !declared(t, at[0], name) {
				t.Errorf("probe %d: %s has no %s", n, at[0], name)
			}
		}
	}
}

func declared(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	head := regexp.MustCompile(`(?m)^func ` + name + `\(`)
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && !strings.Contains(file, "index_test") && head.Match(text) {
			return true
		}
	}
	return false
}
