import { execFileSync } from 'node:child_process'
import { places } from './places.ts'

/** What a result depends on: the shipped code and that of the checks. */
const CODE = ['packages', 'apps', 'e2e', 'package.json', 'package-lock.json']

/** The commit that is checked out, and whether the code differs from it. */
export function commitOf(): string {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: places.root, encoding: 'utf8' }).trim()
  const isChanged = git('status', '--porcelain', '--untracked-files=all', '--', ...CODE) !== ''
  return `${git('rev-parse', '--short', 'HEAD')}${isChanged ? ' with changes' : ''}`
}
