import type { Defect } from './defect.ts'
import type { Hunted } from './start-hunt.ts'

/** A defect, and how it was caught. */
export interface Caught {
  readonly defect: Defect
  readonly hunted: Hunted
}

/** `docs/defects.md`: what a recorded run of all defects found, for readers. */
export function defectsPage(caught: readonly Caught[], soundRecoveries: number): string {
  const rows = caught.map(({ defect: { name, file }, hunted: { invariant, attack, recoveryCount, seconds } }) => {
    const cells = [
      name,
      `\`${file}\``,
      invariant,
      attack,
      recoveryCount.toLocaleString('en'),
      `${seconds.toFixed(0)} s`,
    ]
    return `| ${cells.join(' | ')} |`
  })
  return `# Deliberate defects of storage

Written by \`npm run reliability -- defects --record\`; not to be edited. Each row is a mistake that was put into a copy of one file of
\`packages/storage/src\` and caught by the checks of the campaign \`traces\`: by which invariant (\`reliability.md\`; "-" is an assertion
of the simulated disk or a promise that was broken), in which attack, and after how many recoveries. In the same attacks on storage
without a defect, ${soundRecoveries.toLocaleString('en')} recoveries found nothing.

| defect | file | caught by | in | recoveries | time |
| --- | --- | --- | --- | --- | --- |
${rows.join('\n')}
`
}
