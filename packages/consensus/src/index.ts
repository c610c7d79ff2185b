export * from './metadata/image.ts'
export type * from './metadata/records.ts'
export * from './metadata/reducer.ts'
export * from './metadata/snapshot.ts'
