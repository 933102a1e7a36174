"""Step 06's section: the tier, the load, and what it must show."""

from pydantic import Field, model_validator

from runbook.params.base import Name, Quantity, Section


class LoadStage(Section):
    """A stretch of a load test."""

    name: str = Field(min_length=1, description="as it stands in tables and graphs")
    seconds: int = Field(ge=1, le=3600, description="how long")
    rate: int = Field(ge=0, le=100_000, description="requests that arrive each second")
    ramp: bool = Field(False, description="grow evenly from the stage before, instead of jumping to the rate")


class LoadObjective(Section):
    """What counts as good."""

    percentile: float = Field(95, ge=1, le=100, description="of the latencies")
    under_ms: float = Field(500, gt=0, description="milliseconds that it may take at most")
    errors: float = Field(0.01, ge=0, lt=1, description="share of requests that may fail")


LoadStages = list[LoadStage]
LOAD_STAGES = [
    LoadStage(name="quiet", seconds=20, rate=2), LoadStage(name="ramp", seconds=20, rate=30, ramp=True),
    LoadStage(name="plateau", seconds=60, rate=30), LoadStage(name="spike", seconds=15, rate=45),
    LoadStage(name="quiet again", seconds=150, rate=2),
]


class Load(Section):
    """Step 06: the tier that is scaled, the load test, and what it must show."""

    namespace: Name = Field("lamp", description="namespace of the tier")
    release: Name = Field("lamp", description="its Helm release")
    image: str = Field("docker.io/library/php:8.2-apache", description="an image with Apache and PHP, or with your site in it")
    demo: bool = Field(True, description="serve the chart's pages, one of which uses CPU, instead of those in the image")
    cpu_request: Quantity = Field("100m", description="CPU that each replica requests; the autoscaler reckons in shares of it")
    cpu_limit: Quantity = Field("400m", description="CPU that each replica may use")
    memory_request: Quantity = Field("64Mi", description="memory that each replica requests")
    memory_limit: Quantity = Field("128Mi", description="memory that each replica may use")
    replicas_min: int = Field(1, ge=1, le=1000, description="replicas at rest")
    replicas_max: int = Field(4, ge=1, le=1000, description="replicas at most")
    target: int = Field(60, ge=5, le=1000, description="percent of the CPU request that the autoscaler aims at")
    fewer_after: int = Field(60, ge=0, le=3600, description="seconds of low need before replicas are taken away; Kubernetes' own: 300")
    drain: int = Field(5, ge=1, le=300, description="seconds that a pod goes on serving after it was told to end")
    url: str = Field("", description="what to load instead of the tier's NodePort, such as https://demo.ws.example.org; this machine only")
    hosts: dict[str, str] = Field({}, description="names in the url and the loopback address of each")
    ca: str = Field("", description="file of the certificate authority to trust instead of the system's")
    paths: dict[str, int] = Field({"/work.php?n=60000": 1}, description="paths to ask for, and their weights")
    objective: LoadObjective = Field(LoadObjective(), description="what counts as good")
    timeout: float = Field(10, gt=0, le=120, description="seconds after which a request has failed")
    most_waiting: int = Field(200, ge=1, le=10_000, description="requests that may wait for an answer at once")
    knee_rates: list[int] = Field([2, 5, 10, 15, 20, 30, 40], description="rates of the staircase that looks for the highest good one")
    knee_seconds: int = Field(3, ge=2, le=600, description="length of each of its steps")
    stages: LoadStages = Field(LOAD_STAGES, description="the load that the tier must follow")
    rollout_rate: int = Field(5, ge=1, le=100_000, description="requests a second while the tier is rolled out anew")
    rollout_seconds: int = Field(40, ge=10, le=3600, description="length of that")
    peak: float = Field(40, gt=0, description="requests a second that you expect at most")
    rest: float = Field(2, gt=0, description="requests a second at rest")
    growth: float = Field(0.3, ge=0, le=5, description="share by which the load may grow while new replicas start")
    adopt: bool = Field(False, description="apply what the measurements recommend, and measure again")
    workspaces_most: int = Field(0, ge=0, le=500, description="start so many workspaces at most to see how many fit; 0: only reckon")
    workspaces_wave: int = Field(2, ge=1, le=50, description="how many of them at once")

    @model_validator(mode="after")
    def _sensible(self):
        if self.replicas_min > self.replicas_max:
            raise ValueError(f"replicas_min {self.replicas_min} is more than replicas_max {self.replicas_max}")
        if sorted(self.knee_rates) != self.knee_rates or len(set(self.knee_rates)) < len(self.knee_rates) or not self.knee_rates:
            raise ValueError("knee_rates must rise from one to the next")
        return self
