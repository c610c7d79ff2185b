import { cuttingDefects } from './cutting-defects.ts'
import type { Defect } from './defect.ts'
import { recoveryDefects } from './recovery-defects.ts'
import { syncDefects } from './sync-defects.ts'

/** Mistakes that one could make in storage, or that others have made. */
export const defects: readonly Defect[] = [...syncDefects, ...cuttingDefects, ...recoveryDefects]

/** Caught within some three hundred recoveries: a run that is to be short draws from these. */
const quickNames = new Set([
  'sync skipped',
  'sync of the directory skipped for a new segment',
  'name of the partition directory not synced',
  'partition metadata not synced',
  'rename before sync, in the background',
  'rename before sync',
  'small file overwritten in place',
  'acknowledged before the sync',
  'durable offset from the written offset',
  'generation not checked after a sync',
  'mark leading what was synced',
  'logs of a failed directory go on',
  'mark not lowered before a truncation',
  'mark lowered after a truncation',
  'lowered mark not synced',
  'names not synced after a truncation',
  'leader epochs not cut with the log',
  'producers not rebuilt after a truncation',
  'checksum not looked at by recovery',
  'torn tail kept',
  'corruption cut like a torn tail',
  'gap between segments overlooked',
  'leader epochs not read by recovery',
  'producers not replayed by recovery',
  'zeros parsed as records',
  'producer snapshot above the recovery point trusted',
  'what a clean stop left is not compared after a kill',
])
export const quickDefects: readonly Defect[] = defects.filter(({ name }) => quickNames.has(name))
