export * from './consensus/consensus-run.ts'
export * from './consensus/consensus-scenario.ts'
export * from './run-result.ts'
export * from './run-seed.ts'
