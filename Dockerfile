# Headless decoding and training. The same image serves CPUs and, with the NVIDIA container toolkit, CUDA:
#   docker build -t necomimi .
#   docker run --rm --network host -v "$PWD:/data" necomimi decode decoder --log decisions.jsonl
#   docker run --rm --gpus all -v "$PWD:/data" necomimi train encoder epochs decoder --gallery gallery
# LSL finds streams by multicast: --network host is needed to see an amplifier's, and works on Linux only.
FROM python:3.12-slim-bookworm

# What Qt and OpenGL want even without a screen, for `necomimi view --screenshot`.
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        libegl1 libgl1 libfontconfig1 libglib2.0-0 libxkbcommon0 libdbus-1-3 fonts-dejavu-core \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/necomimi
COPY pyproject.toml constraints.txt MANIFEST.in README.md LICENSE ./
COPY necomimi necomimi
COPY offline offline
COPY realtime realtime
COPY replay replay
COPY gui gui
RUN pip install --no-cache-dir -c constraints.txt ".[demo,clip,diffusion,hub]"

RUN useradd --create-home necomimi
USER necomimi
ENV QT_QPA_PLATFORM=offscreen
WORKDIR /data
ENTRYPOINT ["necomimi"]
CMD ["--help"]
