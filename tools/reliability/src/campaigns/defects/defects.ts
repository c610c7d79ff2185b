import { cuttingDefects } from './cutting-defects.ts'
import type { Defect } from './defect.ts'
import { recoveryDefects } from './recovery-defects.ts'
import { syncDefects } from './sync-defects.ts'

/** Mistakes that one could make in storage, or that others have made. */
export const defects: readonly Defect[] = [...syncDefects, ...cuttingDefects, ...recoveryDefects]
