/** Sets the value of one series. */
export type SetValue = (labels: Record<string, string>, value: number) => void
/** Makes one metric, whose values are asked for at each scrape. */
export type DefineMetric = (name: string, help: string, labelNames: string[], collect: (set: SetValue) => void) => void
