import { apis } from '@millrace/protocol'
import { answeredKey } from './answer-checker.ts'
import { servedVersions } from './frame-source.ts'

/** APIs with versions that are served and were never answered: whatever was sent of them was not looked at, or not understood. */
export function missingVersions(answered: ReadonlySet<number>): string[] {
  const missing: string[] = []
  for (const [key, { minVersion, maxVersion }] of servedVersions) {
    const versions: number[] = []
    for (let version = minVersion; version <= maxVersion; version++) {
      if (!answered.has(answeredKey(key, version))) versions.push(version)
    }
    if (versions.length > 0) missing.push(`${apis[key]!.name} was never answered in version ${versions.join(', ')}`)
  }
  return missing
}
