import { isData, type Key, type Operation } from '../history/operation.ts'
import type { Findings } from './anomaly.ts'
import { checkRegister, type RegisterOperation } from './register.ts'

/** Holds the logs that were read as registers (`read` operations) to atomicity. */
export function checkRegisters(operations: readonly Operation[], findings: Findings): void {
  const registers = new Map<Key, RegisterOperation[]>()
  for (const operation of operations) if (operation.kind === 'read') registers.set(operation.key, [])
  for (const operation of operations) {
    const { outcome, invokedMs } = operation
    if (outcome === 'fail') continue
    const completedMs = outcome === 'ok' ? operation.completedMs : Number.POSITIVE_INFINITY
    if (operation.kind === 'read')
      registers.get(operation.key)?.push({ kind: 'read', value: operation.value, invokedMs, completedMs })
    else if (isData(operation))
      for (const step of operation.steps)
        if (step.step === 'send')
          registers.get(step.key)?.push({ kind: 'write', value: step.value, invokedMs, completedMs })
  }
  for (const [key, history] of registers)
    for (const problem of checkRegister(history)) findings.add('stale-read', `${key}: ${problem}`)
}
