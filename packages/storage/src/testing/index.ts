/** For tools that attack storage for longer than a unit test may take. Nothing shipped imports it. */
export { type MovedReplica, readMovedReplicas } from '../moved-replicas.ts'
export { CrashCheck } from './crash-check.ts'
export { CrashExplorer, CrashFailure, type ExplorerFigures, sampleCrash } from './crash-explorer.ts'
export {
  type CrashPoint,
  CrashWorkload,
  MIXED_STEPS,
  type StepWeights,
  type WorkloadOptions,
} from './crash-workload.ts'
export { checkAfterLies, checkDamage } from './damage-check.ts'
export { checkDamagedIndex, checkDamagedMark, checkFileDamage } from './damage-kinds.ts'
export { checkDamagedNote, isNotePoint, NOTE_PATHS } from './damaged-note.ts'
export { checkDamagedProducer } from './damaged-producer.ts'
export { checkDamagedSize } from './damaged-size.ts'
export { FAULT_CLASSES, type FaultClass, type FaultPlan } from './fault-plan.ts'
export { type FaultRunResult, recoverWithFault, runWithFault } from './fault-run.ts'
export { type Evaluations, INVARIANTS, InvariantError, newEvaluations } from './invariant.ts'
export { checkLostIndex } from './lost-index.ts'
export { type MovePoint, MoveWorkload } from './move-workload.ts'
export { type RottenBit, rotRecords } from './rot-records.ts'
