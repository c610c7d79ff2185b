/**
 * Holds the workspace against the import rules of `.dependency-cruiser.mjs`. Prints each violation and fails on any. It also fails
 * if a source file was not read: a parser that does not know the language sees no modules and then finds nothing wrong.
 */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { cruise, type ICruiseResult } from 'dependency-cruiser'

/** What {@link checkImports} found, each a line to print; empty lists are good. */
export interface ImportReport {
  readonly moduleCount: number
  readonly dependencyCount: number
  readonly problems: readonly string[]
}

/** Checks `files` (paths relative to `root`, as the rules are too) by the rules in `configFile`. */
export async function checkImports(root: string, configFile: string, files: readonly string[]): Promise<ImportReport> {
  const { options, ...ruleSet } = (await import(pathToFileURL(configFile).href)).default
  const result = await cruise([...files], { ...options, baseDir: root, ruleSet, validate: true })
  const { modules, summary } = result.output as ICruiseResult
  const seen = new Set(modules.map((module) => module.source))
  const unread = files.filter((file) => !seen.has(file))
  const dependencyCount = summary.totalDependenciesCruised ?? 0
  const problems = summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`)
  if (files.length === 0) problems.push('no source files found')
  if (dependencyCount === 0) problems.push('not one import found: the sources were not parsed')
  problems.push(...unread.map((file) => `not read: ${file}`))
  return { moduleCount: modules.length, dependencyCount, problems }
}

if (process.argv[1] === import.meta.filename) {
  const root = join(import.meta.dirname, '../../..')
  const list = ['ls-files', '--cached', '--others', '--exclude-standard', '--', 'packages', 'apps', 'tools', 'e2e']
  const files = execFileSync('git', list, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 26 })
    .split('\n')
    .filter((file) => /\.(ts|mts|mjs)$/.test(file) && !file.includes('/testdata/') && existsSync(join(root, file)))
  const report = await checkImports(root, join(root, '.dependency-cruiser.mjs'), files)
  for (const problem of report.problems) console.error(problem)
  console.log(`${report.moduleCount} modules, ${report.dependencyCount} imports, ${report.problems.length} problems`)
  if (report.problems.length > 0) process.exitCode = 1
}
