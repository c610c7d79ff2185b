/** One spec of a jest report. */
export interface SpecResult {
  /** File below `src`, then the full name, as `admin/index.spec.js > Admin emits…`. */
  readonly name: string
  readonly passed: boolean
  readonly message: string
}

/** How a run stands against the names that pass on Apache Kafka. */
export interface Comparison {
  readonly expectedCount: number
  readonly passed: readonly string[]
  /** Names that should pass and did not, with the reason's first lines. */
  readonly failed: readonly { readonly name: string; readonly message: string }[]
  /** Names that should have run and were not in the report. */
  readonly absent: readonly string[]
}

/** The part of jest's JSON report that is used here. */
export interface JestReport {
  readonly testResults: readonly {
    readonly name: string
    readonly message: string
    readonly assertionResults: readonly {
      readonly fullName: string
      readonly status: string
      readonly failureMessages: readonly string[] | null
    }[]
  }[]
}

/** Flattens a jest report. `sourceFolder` is the absolute `src` of the copy that was run. */
export function specResults(report: JestReport, sourceFolder: string): SpecResult[] {
  return report.testResults.flatMap((file) =>
    file.assertionResults
      .filter(({ status }) => status === 'passed' || status === 'failed')
      .map(({ fullName, status, failureMessages }) => ({
        name: `${file.name.slice(sourceFolder.length + 1)} > ${fullName}`,
        passed: status === 'passed',
        message: (failureMessages ?? []).join('\n'),
      })),
  )
}

/** Holds results against the expected names. A name that stands in the report more than once passes only if all of them do. */
export function compare(results: readonly SpecResult[], expected: readonly string[]): Comparison {
  const byName = new Map<string, SpecResult>()
  for (const result of results) {
    if (byName.get(result.name)?.passed !== false) byName.set(result.name, result)
  }
  const found = expected.map((name) => byName.get(name) ?? null)
  return {
    expectedCount: expected.length,
    passed: expected.filter((_, i) => found[i]?.passed === true),
    failed: found.flatMap((result) =>
      result && !result.passed
        ? [{ name: result.name, message: result.message.split('\n').slice(0, 6).join('\n') }]
        : [],
    ),
    absent: expected.filter((_, i) => found[i] === null),
  }
}
